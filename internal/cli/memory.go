package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// roomy is the heap, in bytes, up to which nothing is collected, and beyond which it does not grow as long as least is enough. With a
	// percentage alone a node that holds little collects all the time: every eighth instruction of an acceptance went there.
	roomy = 52 << 20
	// least is how much garbage may gather at least before it is collected, in percent of what is in use: less than Go lets gather. So much is
	// in use only where very many transactions wait at once, and there memory is dearer than the twentieth of the processor's time that it costs.
	least = 40
	// most bounds the percentage, for a heap that grows many times over before it is looked at again.
	most = 400
	// retuned is the least change of the percentage that is worth stopping everything for a moment.
	retuned = 10
)

// spare sets how much memory is left to garbage, if the environment does not say: GOGC does, and GOMEMLIMIT bounds it in any case.
func spare(getenv func(string) string) {
	if getenv("GOGC") != "" {
		return
	}
	set := percentFor(0, 0)
	debug.SetGCPercent(set)
	used := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	afterEachCollection(func() {
		metrics.Read(used)
		next := percentFor(used[0].Value.Uint64(), used[1].Value.Uint64()+used[2].Value.Uint64())
		if abs(next-set) >= retuned || next != set && next == least {
			set = next
			debug.SetGCPercent(set)
		}
	})
}

func abs(n int) int { return max(n, -n) }

// percentFor returns how much garbage may gather, in percent of the bytes that are live and of the roots, which are stacks and global variables.
func percentFor(live, roots uint64) int {
	return min(most, max(least, int((roomy-min(live, roomy))*100/max(live+roots, 1))))
}

// afterEachCollection calls do after each collection of garbage, one call at a time.
func afterEachCollection(do func()) {
	var again func(**int)
	again = func(found **int) {
		do()
		runtime.SetFinalizer(found, again)
	}
	runtime.SetFinalizer(new(*int), again) // what holds a pointer shares its place with nothing, so each collection finds it
}
