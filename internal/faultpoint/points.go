package faultpoint

// Variable is the environment variable that says what happens where.
const Variable = "PYRALIS_FAULTPOINT"

// Point is a place in the code.
type Point string

// The points on the way of a transaction.
const (
	RequestRead   Point = "request-read"   // the body of a command has been read
	KeyLookedUp   Point = "key-looked-up"  // no transaction is known under the request's key
	BeforePrepare Point = "before-prepare" // the connector is about to be asked to prepare
	AfterPrepare  Point = "after-prepare"  // it has prepared, and nothing is stored
	BeforeAccept  Point = "before-accept"  // the row is about to be stored
	AfterAccept   Point = "after-accept"   // it is stored, and nobody knows
	AnswerWritten Point = "answer-written" // the client's answer has been written

	WorkerTook         Point = "worker-took"          // a worker has taken the transaction
	BeforeClaim        Point = "before-claim"         // the claim of a send is about to be stored
	AfterClaim         Point = "after-claim"          // it is stored, and the send has not begun
	BeforeSubmit       Point = "before-submit"        // the connector is about to be asked to send
	FabricBeforeSubmit Point = "fabric-before-submit" // the endorsed envelope is about to go to the gateway
	FabricAfterSubmit  Point = "fabric-after-submit"  // the gateway has answered, whatever it was
	AfterSubmit        Point = "after-submit"         // the connector's answer is known and not stored
	AfterAnswer        Point = "after-answer"         // it is stored

	BlockRead          Point = "block-read"          // a block with transactions was read
	BeforeOutcomes     Point = "before-outcomes"     // outcomes are about to be stored
	OutcomesUnfinished Point = "outcomes-unfinished" // they are written in a transaction of the database that lacks the position
	AfterOutcomes      Point = "after-outcomes"      // outcomes and position are stored
	StatusRead         Point = "status-read"         // the status log was read, and nobody has been told
	StatusTold         Point = "status-told"         // streams and clients that wait have been told

	BeforeAfresh Point = "before-afresh" // an attempt is dead, and another one is about to be prepared
	AfterAfresh  Point = "after-afresh"  // it is prepared and not stored
	AfterLook    Point = "after-look"    // the chain has said what became of an attempt, and that is not stored
)

// Points are all points, in the order in which a transaction passes them; those at the end are off the straight way.
func Points() []Point {
	return []Point{
		RequestRead, KeyLookedUp, BeforePrepare, AfterPrepare, BeforeAccept, AfterAccept, AnswerWritten,
		WorkerTook, BeforeClaim, AfterClaim, BeforeSubmit, FabricBeforeSubmit, FabricAfterSubmit, AfterSubmit, AfterAnswer,
		BlockRead, BeforeOutcomes, OutcomesUnfinished, AfterOutcomes, StatusRead, StatusTold,
		BeforeAfresh, AfterAfresh, AfterLook,
	}
}
