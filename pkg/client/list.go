package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Transactions lists transactions, the newest first unless f says otherwise. A Limit of 0 leaves the length of the page to the server.
// The next page is that with After set to the id of the last one; an empty page is the end, a short one is not.
func (c *Client) Transactions(ctx context.Context, f apitypes.TransactionFilter) ([]*apitypes.Transaction, error) {
	q, err := query(f)
	if err != nil {
		return nil, err
	}
	var list []*apitypes.Transaction
	_, err = c.call(ctx, http.MethodGet, "/transactions", q, nil, &list)
	return list, err
}

// CountTransactions returns how many transactions match, whatever the Limit, Skip and After of f are.
func (c *Client) CountTransactions(ctx context.Context, f apitypes.TransactionFilter) (int, error) {
	f.Limit, f.Skip, f.After = 1, 0, ""
	q, err := query(f)
	if err != nil {
		return 0, err
	}
	q.Set("count", strconv.FormatBool(true))
	var p apitypes.TransactionPage
	_, err = c.call(ctx, http.MethodGet, "/transactions", q, nil, &p)
	return p.Total, err
}

func query(f apitypes.TransactionFilter) (url.Values, error) {
	q := page(f.Limit, f.After)
	if f.Skip > 0 {
		q.Set("skip", strconv.Itoa(f.Skip))
	}
	if f.Ascending {
		q.Set("direction", "asc")
	}
	if f.Signer != "" {
		q.Set("signer", f.Signer)
	}
	if f.Pending {
		q.Set("pending", strconv.FormatBool(true))
	}
	q["status"], q["progress"] = f.Statuses, f.Progress
	for name, value := range f.Labels {
		q.Set("label."+name, value)
	}
	return q, conditions(q, f.Match)
}

// conditions adds comparisons. A query says of each field either that one of its comparisons must hold, or that all must.
func conditions(q url.Values, match [][]apitypes.Condition) error {
	groups := make(map[string]int)
	for _, group := range match {
		if len(group) > 0 {
			groups[group[0].Field]++
		}
	}
	for _, group := range match {
		for _, c := range group {
			switch all := groups[group[0].Field] > 1; {
			case c.Field != group[0].Field, all && len(group) > 1:
				return errors.New("conditions: of each field either one of a list must hold, or all; a query cannot say more")
			case c.Field == "status" && len(q["status"]) > 0:
				return errors.New("conditions: give the status either as a list or as conditions")
			case all:
				q.Add(c.Field, "["+condition(c))
			default:
				q.Add(c.Field, condition(c))
			}
		}
	}
	return nil
}

// condition is a comparison as the API reads it.
func condition(c apitypes.Condition) string {
	s := ""
	if c.Not {
		s += "!"
	}
	if c.Fold {
		s += ":"
	}
	op := c.Op
	switch op {
	case "":
		op = "="
	case ">", "<":
		op += op // so that what follows is not read as part of it
	}
	if c.None {
		return s + "?"
	}
	return s + op + c.Value
}
