package msgs

import "net/http"

// The request.
var (
	BadJSON = &Code{"PY10001", http.StatusBadRequest, "the body is not JSON: %s",
		"The body is empty, cut off, not JSON, or not UTF-8."}
	TooDeep = &Code{"PY10002", http.StatusBadRequest, "the body is nested deeper than %s levels",
		"No honest request nests that deep."}
	BadField = &Code{"PY10003", http.StatusBadRequest, "%s",
		"A field is missing, or its value cannot be used. The text names the field and what would be right."}
	UnknownField = &Code{"PY10004", http.StatusBadRequest, "%s is not a field of %s; %s",
		"The body has a field that is not known. It is refused, since it would have no effect."}
	UnknownParameter = &Code{"PY10005", http.StatusBadRequest, "query parameter %s is not known here: %s",
		"The URL has a query parameter that is not known on this route. It is refused, since it would have no effect."}
	BadParameter = &Code{"PY10006", http.StatusBadRequest, "query parameter %s",
		"A query parameter has a value that cannot be used, or the query cannot be decoded."}
	BadHeader = &Code{"PY10007", http.StatusBadRequest, "header %s",
		"A request header has a value that cannot be used."}
	UnknownCommand = &Code{"PY10008", http.StatusBadRequest, "headers.type is %s: give SendTransaction, DeployContract, Query or TransactionReceipt",
		"POST / does not know the command."}
	BodyTooLarge = &Code{"PY10010", http.StatusRequestEntityTooLarge, "the body has more than %s bytes, the limit that api.maxBodySize sets",
		"Send less, or raise api.maxBodySize."}
	NotJSONType = &Code{"PY10011", http.StatusUnsupportedMediaType, "%s: send the header Content-Type: application/json",
		"A body must be sent as JSON, uncompressed."}
	BodyUnreadable = &Code{"PY10012", http.StatusBadRequest, "the body could not be read: %s",
		"The connection broke, or the body was not as long as it said."}
	NoSuchPath = &Code{"PY10013", http.StatusNotFound, "there is nothing at %s; /api lists what there is",
		"The path is not part of the API."}
	NoSuchMethod = &Code{"PY10014", http.StatusMethodNotAllowed, "%s is not possible at %s: use %s",
		"The path exists, but not for this method."}
	TimedOut = &Code{"PY10015", http.StatusRequestTimeout, "the request was not done within %s",
		"Its effect is open. Repeat it; a transaction with the same headers.id is never carried out twice. The header Request-Timeout asks for more time."}
	ClientLeft = &Code{"PY10016", 499, "the client closed the connection",
		"Nobody reads this answer; it is in the log and the metrics only."}
)

// What the store holds, and the state of the node.
var (
	NotFound = &Code{"PY10100", http.StatusNotFound, "%s",
		"There is no such transaction, stream or listener."}
	NoReceipt = &Code{"PY10101", http.StatusNotFound, "transaction %s has no receipt yet",
		"The transaction is not in a block yet, or never will be: its status tells."}
	Conflict = &Code{"PY10102", http.StatusConflict, "%s",
		"The name is taken, or the thing was changed meanwhile."}
	KeyReused = &Code{"PY10103", http.StatusUnprocessableEntity, "headers.id was used before with another body: %s",
		"An id names one request for ever. Use a new one, or send the very same body."}
	NotAccepted = &Code{"PY10104", http.StatusUnprocessableEntity, "%s",
		"The transaction clashes with one that is already stored, e.g. in the nonce that the caller gave. Nothing was stored."}
	TooManyPending = &Code{"PY10105", http.StatusTooManyRequests, "%s",
		"As many transactions are pending as transactions.maxPending allows. Try again later."}
	Stopping = &Code{"PY10106", http.StatusServiceUnavailable, "the server is stopping",
		"Try again once it is back."}
	StoreFull = &Code{"PY10107", http.StatusServiceUnavailable, "no space is left in the store",
		"Make room on the disk of the database. Nothing was stored."}
	StoreUnavailable = &Code{"PY10108", http.StatusServiceUnavailable, "the store cannot be reached",
		"The database is down or does not answer. The effect of the request is open: repeat it."}
	StoreLost = &Code{"PY10109", http.StatusServiceUnavailable, "another process has taken over",
		"This process may not write any more. Use the other one."}
	NotStorable = &Code{"PY10110", http.StatusBadRequest, "%s",
		"A name, id or signer is too long or not plain text."}
	NoKey = &Code{"PY10112", http.StatusNotImplemented, "%s",
		"The transaction has something secret in it, such as transient data, which is stored encrypted only. Set store.encryptionKeys. Nothing was stored."}
	Wiped = &Code{"PY10113", http.StatusConflict, "%s",
		"The transaction had something secret in it, such as transient data, which was wiped when it ended, so it cannot be retried from here."}
	Sealed = &Code{"PY10114", http.StatusNotImplemented, "%s",
		"Add the key that the text names to store.encryptionKeys, or put the file encryption.key back, and start the node again. Nothing was changed."}
	Declared = &Code{"PY10111", http.StatusConflict, "%s",
		"The configuration says what the stream is. A change made here would be undone at the next start, so it is made there."}
	SearchTooWide = &Code{"PY10120", http.StatusUnprocessableEntity, "looked at %s transactions, down to %s, without an end: go on with after=%s, or narrow the search by a label, signer or status",
		"No index answers the filter, and nothing was found among as many transactions as one request looks at. From the place that the text names the search goes on and misses nothing."}
	CountTooWide = &Code{"PY10121", http.StatusUnprocessableEntity, "more than %s transactions would have to be looked at to count those that match: leave the count out, or narrow the search by a label, signer or status, or by a range of sequence",
		"No index answers the filter, and a count would have to look at more transactions than one request does."}
	BatchTooLong = &Code{"PY10131", http.StatusBadRequest, "the batch has %s commands, more than the limit of %s",
		"Split it. Nothing of it was carried out."}
	NotInBatch = &Code{"PY10132", http.StatusBadRequest, "headers.type is %s: a batch takes SendTransaction and DeployContract",
		"The command has to be sent by itself, to POST /."}
	TooManyWaiting = &Code{"PY10130", http.StatusTooManyRequests, "%s",
		"As many requests wait for transactions to end as the server bears. Ask without wait, or later."}
)

// The chain.
var (
	ChainInvalidInput = &Code{"PY10200", http.StatusBadRequest, "%s",
		"The chain's connector cannot use the request. The text names the field."}
	ChainUnauthorized = &Code{"PY10201", http.StatusForbidden, "%s",
		"The signer may not do this."}
	ChainNotFound = &Code{"PY10202", http.StatusNotFound, "%s",
		"What was asked for is not on the chain."}
	ChainReverted = &Code{"PY10203", http.StatusUnprocessableEntity, "%s",
		"The contract refused."}
	ChainEndorsement = &Code{"PY10204", http.StatusUnprocessableEntity, "%s",
		"The nodes that must endorse refused; the text has the words of each."}
	ChainInsufficientFunds = &Code{"PY10205", http.StatusUnprocessableEntity, "%s",
		"The signer cannot pay."}
	ChainUnsupported = &Code{"PY10206", http.StatusNotImplemented, "%s",
		"The chain has no such thing."}
	ChainNonceTooLow = &Code{"PY10207", http.StatusServiceUnavailable, "%s",
		"The nonce is used already. Try again."}
	ChainUnderpriced = &Code{"PY10208", http.StatusServiceUnavailable, "%s",
		"The fee is too low for the chain at the moment."}
	ChainKnownTransaction = &Code{"PY10209", http.StatusServiceUnavailable, "%s",
		"The chain has this transaction already."}
	ChainConflict = &Code{"PY10210", http.StatusServiceUnavailable, "%s",
		"The request lost a race on the chain. Try again."}
	ChainRateLimited = &Code{"PY10211", http.StatusServiceUnavailable, "%s",
		"The chain's nodes ask to slow down. Retry-After says when to try again."}
	ChainUnavailable = &Code{"PY10212", http.StatusServiceUnavailable, "%s",
		"The chain's nodes cannot be reached, are behind, or disagree. Try again."}
	ChainTimeout = &Code{"PY10213", http.StatusServiceUnavailable, "%s",
		"The chain's nodes did not answer in time. Try again."}
	ChainPruned = &Code{"PY10214", http.StatusGone, "%s",
		"The chain's nodes no longer have the block. The text names the first that they have."}
	ChainInternal = &Code{"PY10215", http.StatusInternalServerError, "%s",
		"The chain's connector failed, or got an answer that makes no sense. The log has more."}
)

// Operations on transactions and nonces.
var (
	TransactionEnded = &Code{"PY10300", http.StatusConflict, "%s",
		"The transaction is Succeeded or Failed. That is never changed again; a failed one can be retried as a new transaction."}
	MayBeSent = &Code{"PY10301", http.StatusConflict, "%s",
		"The transaction was sent, or may have been: it cannot be cancelled or changed any more, because it may be on the chain at any moment. Its outcome will come."}
	BeingCancelled = &Code{"PY10302", http.StatusConflict, "%s",
		"The transaction is being cancelled: its nonce is being used up by another one. It ends when that is final."}
	NotFailed = &Code{"PY10303", http.StatusConflict, "%s",
		"Only a transaction that has failed is retried as a new one, and one that was refused when it was sent is tried again."}
	NothingToChange = &Code{"PY10304", http.StatusBadRequest, "the body names nothing to change: give one of %s",
		"A PATCH of a transaction must hold a field."}
	NoNonces = &Code{"PY10305", http.StatusNotImplemented, "%s",
		"The chain does not number the transactions of a signer."}
	NonceRefused = &Code{"PY10306", http.StatusBadRequest, "%s",
		"The nonce that the caller gave is taken, or leaves a gap. Nothing was stored. Leave it out to have the next one assigned."}
)

// Defects.
var (
	Internal = &Code{"PY10900", http.StatusInternalServerError, "something went wrong in the server; its log tells what, under request %s",
		"A defect. Please report it with the lines of the log."}
)

// all is every code, in order.
var all = []*Code{
	BadJSON, TooDeep, BadField, UnknownField, UnknownParameter, BadParameter, BadHeader, UnknownCommand, BodyTooLarge,
	NotJSONType, BodyUnreadable, NoSuchPath, NoSuchMethod, TimedOut, ClientLeft,
	NotFound, NoReceipt, Conflict, KeyReused, NotAccepted, TooManyPending, Stopping, StoreFull, StoreUnavailable, StoreLost, NotStorable, Declared, NoKey, Wiped, Sealed, SearchTooWide,
	CountTooWide,
	TooManyWaiting, BatchTooLong, NotInBatch,
	ChainInvalidInput, ChainUnauthorized, ChainNotFound, ChainReverted, ChainEndorsement, ChainInsufficientFunds, ChainUnsupported,
	ChainNonceTooLow, ChainUnderpriced, ChainKnownTransaction, ChainConflict, ChainRateLimited, ChainUnavailable, ChainTimeout, ChainPruned,
	ChainInternal,
	TransactionEnded, MayBeSent, BeingCancelled, NotFailed, NothingToChange, NoNonces, NonceRefused,
	Internal,
}
