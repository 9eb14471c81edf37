// Package option holds two things that the options of all packages of this module
// share: the error for an option that is out of bounds, and the value that means
// "none".
//
// In every struct of options a zero field means the default, and [None] means no limit,
// no time-out or no such part. Any other negative number is an [Error].
//
//	for _, err := range option.All(options.Validate()) {
//		if out, ok := errors.AsType[*option.Error](err); ok {
//			fmt.Println(out.Field, out.Value, out.Bound)
//		}
//	}
//
// The package checks no option itself: each package knows its own bounds.
package option

import (
	"errors"
	"fmt"
)

// None turns off what a numeric option or a duration sets: no limit, no time-out, no
// slack. Each option says whether it may be None. Zero means the default.
const None = -1

// Error says which option is out of bounds, and how. Its fields are for programs; the
// text of Error is for people.
type Error struct {
	// Field is the path of the option within the struct that was validated, for example
	// "HTTP.Guard.Tokens[0]".
	Field string
	// Value is the value of the option. It is never a secret.
	Value any
	// Bound says what the option must be, for example "between 1 and 16". It completes
	// the words "must be".
	Bound string
}

// Error names the field, the value and the bound.
func (e *Error) Error() string {
	value := e.Value
	if s, ok := value.(string); ok {
		value = fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%s is %v: must be %s", e.Field, value, e.Bound)
}

// Under returns err with path put before the field of every [Error] that it joins or
// wraps directly: Under("HTTP", err) turns the field "Addr" into "HTTP.Addr". Errors of
// other types stay as they are. It returns nil when err is nil, and changes no error
// that it is given.
func Under(path string, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all := joined.Unwrap()
		under := make([]error, len(all))
		for i, err := range all {
			under[i] = Under(path, err)
		}
		return errors.Join(under...)
	}
	if e, ok := err.(*Error); ok { //nolint:errorlint // one that is wrapped has its field named by the wrapper
		return &Error{Field: path + "." + e.Field, Value: e.Value, Bound: e.Bound}
	}
	return err
}

// All returns the errors that err joins, as a list. It returns err alone when err joins
// none, and nothing when err is nil.
func All(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, All(err)...)
	}
	return all
}
