package store

import "fmt"

// TxFilter selects transactions, newest first unless Ascending. All that it names must hold.
type TxFilter struct {
	Limit     int   // 0: no limit
	Skip      int   // of those that match, how many to leave out first
	After     int64 // Seq of the last one of the page before, 0 for the first page
	Ascending bool
	Signer    string
	Statuses  []TxStatus        // one of these; nil: any
	Labels    map[string]string // all of these
	Match     []TxMatch         // all of these
}

// TxMatch holds if one of its conditions does.
type TxMatch []TxCondition

// TxField names a field that conditions can be about.
type TxField string

// The fields: which of the members of a condition they are compared with is behind each.
const (
	FieldSeq         TxField = "sequence"        // Number
	FieldID          TxField = "id"              // Text
	FieldCreated     TxField = "created"         // Number, microseconds since 1970, like the other times
	FieldUpdated     TxField = "updated"         // Number
	FieldFirstSubmit TxField = "firstsubmit"     // Number
	FieldLastSubmit  TxField = "lastsubmit"      // Number
	FieldCancelAsked TxField = "deleterequested" // Number
	FieldStatus      TxField = "status"          // Text
	FieldSub         TxField = "substatus"       // Text
	FieldLedger      TxField = "ledger"          // Text
	FieldSigner      TxField = "from"            // Text
	FieldTo          TxField = "to"              // Text
	FieldNonce       TxField = "nonce"           // Number, up to 2⁶³-1
	FieldGas         TxField = "gas"             // Text, a whole number in base 10 of any size
	FieldValue       TxField = "value"           // Text, the same
	FieldHash        TxField = "transactionhash" // Text
	FieldError       TxField = "errormessage"    // Text
)

// Operator compares a field with a value.
type Operator string

// The operators. The last three are for text only.
const (
	Equal      Operator = "="
	Above      Operator = ">"
	AtLeast    Operator = ">="
	Below      Operator = "<"
	AtMost     Operator = "<="
	Contains   Operator = "@"
	BeginsWith Operator = "^"
	EndsWith   Operator = "$"
)

// MaxSearch is how many transactions List and Count look at, where no index answers what is asked.
const MaxSearch = 100_000

// TxCondition is one comparison. A field that a transaction does not have is equal to None only, and neither above nor below anything.
type TxCondition struct {
	Field  TxField
	Op     Operator
	Not    bool
	Fold   bool // without regard to the case of ASCII letters
	None   bool // with Equal: that the transaction does not have it
	Text   string
	Number int64
}

// TooWide is the error of a search that had to look at too many transactions, and of List only if it found none of those that are asked
// for. A search with After and Skip set to what it says goes on, and misses nothing.
type TooWide struct {
	Looked  int    // at so many
	Last    string // id of the last of them; "": there is no place to go on from, as for Count
	Skipped int    // how many that match were left out on the way there, as the filter's Skip says
	Skip    int    // how many are still to be left out
}

// Error says what happened.
func (e *TooWide) Error() string {
	if e.Last == "" {
		return fmt.Sprintf("more than %d transactions would have to be looked at", e.Looked)
	}
	return fmt.Sprintf("looked at %d transactions, down to %s, without an end", e.Looked, e.Last)
}
