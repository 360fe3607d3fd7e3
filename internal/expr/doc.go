// Package expr compiles jq programs and evaluates them over events.
//
//	source ── parse ──▶ tree ── guards put in ──▶ code        once
//	event ── decode ──▶ value ── code, metered ──▶ bool, or JSON again
//
// The programs come from users, and events from whoever writes to the chain, so an evaluation is bounded: it does at most a million units
// of work. A unit is a step of the interpreter, or as much memory as a step can take. That makes it end within some tenths of a second and
// 150 MB, whatever the program and the event, and end in the same way each time: no busy machine turns an event that passes into one
// that fails. The clock ends what takes ten seconds. Only two kinds of programs come near that: those that call their own functions thousands
// of levels deep, where each look at a variable from outside passes all levels, and those that catch errors about huge values again and again, of
// which the interpreter makes a text each time.
//
// Few programs of a compiler may be at more than the first sixtieth of that work at once. Others wait for them, in the order in which they
// come, and their wait is not counted.
//
// # How
//
// The interpreter (gojq) asks a context before each step, which is where steps are counted. Inside a step it asks nobody, and one step may
// repeat a string a billion times, compare values whose parts are shared and endless to walk through, or make an array as long as the number
// that is assigned to it says. So the tree of a program is rewritten before it is compiled: in front of everything whose cost depends on
// the size of a value stands a guard, a function that no program can name, which counts the cost before it arises. A string may be repeated
// by a number that is not known beforehand, for this reason. Some functions that are made of others inside the interpreter, where no guard
// can stand, are defined anew in a prelude, and regular expressions are matched here, because the interpreter keeps every one that it has seen.
//
// # What is refused
//
//   - input, env, $ENV, debug, halt, import and the like: they reach beyond the event.
//   - now, localtime, strflocaltime: the same event must give the same at each delivery and on each machine.
//   - Functions without use for events whose cost is not counted: the streaming forms (tostream, fromstream, truncate_stream), combinations,
//     transpose, bsearch, JOIN and the rarer functions of floating-point numbers.
//   - Places to assign to, left of = and |=, which are made of other things than . .key .[n] [] .. | , select first last if try and getpath.
//   - Keys that are arrays or objects, as in .[["a"]].
//   - Regular expressions of more than 1000 bytes, or that repeat much.
//   - More than 100 values in one string, as in "\(.a)".
//   - Calculating with numbers of more than 4096 digits, range with more than 100; output of more than 4 MiB, or nested deeper than 1000 levels.
//
// # Numbers
//
// A number that is only passed on keeps every digit. Whole numbers are calculated with exactly, whatever their size; those with a fraction
// or an exponent as floating-point numbers of 64 bits, in comparisons as well. The members of an object come out in the order of their names.
//
// # Failure
//
// An error says that there is no answer, and is never taken for false. It is the same for the same event, except when the caller's
// context ends. What a program catches by try are its own errors; that it did too much it cannot catch.
package expr
