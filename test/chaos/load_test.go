//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// answer is what a post was answered in the end.
type answer struct {
	status int
	replay bool
	body   []byte
}

func (a answer) id() string {
	var tx apitypes.Transaction
	if json.Unmarshal(a.body, &tx) != nil {
		return ""
	}
	return tx.ID
}

func command(key, signer, method string, params ...string) string {
	return fmt.Sprintf(`{"headers":{"type":"SendTransaction","id":%q},"from":%q,"to":"assets","method":%q,"params":[%s]}`,
		key, signer, method, strings.Join(params, ","))
}

func (r *run) signer(rnd *rand.Rand) string { return fmt.Sprint("signer", rnd.IntN(r.signers)) }

// makeCounters creates what is updated later, and waits until nothing can take that back.
func (r *run) makeCounters() {
	for i := range r.counters {
		key := fmt.Sprint("counter-", i)
		body := command(key, "signer0", "create", fmt.Sprintf("%q", key), fmt.Sprintf(`{"key":%q}`, key))
		r.send(&accepted{key, "signer0", body})
	}
	for key := range r.accepted {
		var tx apitypes.Transaction
		require.Eventually(r.t, func() bool { return r.p.Get("/transactions/"+key, &tx) && tx.Status == "Succeeded" }, time.Minute, 20*time.Millisecond)
	}
}

// client sends requests, some of them twice, and repeats each until it is answered.
func (r *run) client(number int, stop <-chan struct{}) {
	rnd := rand.New(rand.NewPCG(r.seed, uint64(number)+1))
	var mine []*accepted
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rnd.IntN(120)) * time.Millisecond):
		}
		key := fmt.Sprintf("c%d-%06d", number, i)
		switch dice := rnd.IntN(100); {
		case dice < 80 || len(mine) == 0:
			a := r.request(rnd, key)
			if dice < 10 {
				var twin sync.WaitGroup
				twin.Go(func() { r.send(a) })
				r.send(a)
				twin.Wait()
			} else {
				r.send(a)
			}
			mine = append(mine, a)
		case dice < 90:
			r.sendAgain(mine[rnd.IntN(len(mine))])
		case dice < 95:
			r.sendOther(mine[rnd.IntN(len(mine))])
		default:
			r.sendRefused(key, r.signer(rnd))
		}
		if r.t.Context().Err() != nil {
			return
		}
	}
}

// request makes a create, or an update of a counter.
func (r *run) request(rnd *rand.Rand, key string) *accepted {
	signer, value := r.signer(rnd), fmt.Sprintf(`{"key":%q}`, key)
	if rnd.IntN(2) == 0 {
		return &accepted{key, signer, command(key, signer, "create", fmt.Sprintf("%q", key), value)}
	}
	return &accepted{key, signer, command(key, signer, "update", fmt.Sprintf(`"counter-%d"`, rnd.IntN(r.counters)), value)}
}

// send is the first time of a request.
func (r *run) send(a *accepted) {
	got, ok := r.post(a.body)
	switch {
	case !ok:
	case got.status != http.StatusAccepted || got.id() != a.key:
		r.note("%s: %d %s", a.key, got.status, got.body)
	default:
		r.mu.Lock()
		r.accepted[a.key] = a
		r.mu.Unlock()
	}
}

// sendAgain repeats what was accepted.
func (r *run) sendAgain(a *accepted) {
	if got, ok := r.post(a.body); ok && (got.status != http.StatusAccepted || got.id() != a.key || !got.replay) {
		r.note("%s repeated: %d replay %t %s", a.key, got.status, got.replay, got.body)
	}
	r.mu.Lock()
	r.replays++
	r.mu.Unlock()
}

// sendOther uses an accepted key for another body.
func (r *run) sendOther(a *accepted) {
	if got, ok := r.post(command(a.key, a.signer, "delete", `"counter-0"`)); ok && got.status != http.StatusUnprocessableEntity {
		r.note("%s with another body: %d %s", a.key, got.status, got.body)
	}
}

// sendRefused sends what the contract refuses.
func (r *run) sendRefused(key, signer string) {
	got, ok := r.post(command(key, signer, "fail", `"as told"`))
	if ok && (got.status != http.StatusUnprocessableEntity || !strings.Contains(string(got.body), `"submissionRejected":true`)) {
		r.note("%s, which is refused: %d %s", key, got.status, got.body)
	}
	r.mu.Lock()
	r.refused[key] = true
	r.mu.Unlock()
}

// post sends a body until it is answered. false: the test is over.
func (r *run) post(body string) (answer, bool) {
	for r.t.Context().Err() == nil {
		if a, ok := r.once(body); ok {
			return a, true
		}
		server.Pause(r.t, 20*time.Millisecond)
	}
	return answer{}, false
}

// once sends a body and reports whether there was an answer that is not "come again".
func (r *run) once(body string) (answer, bool) {
	r.mu.Lock()
	r.posts++
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.t.Context(), 40*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.p.URL+"/", strings.NewReader(body))
	if err != nil {
		return answer{}, false
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, false
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, false
	}
	switch resp.StatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusRequestTimeout:
		return answer{}, false
	default:
		return answer{resp.StatusCode, resp.Header.Get("Idempotent-Replay") == "true", raw}, true
	}
}
