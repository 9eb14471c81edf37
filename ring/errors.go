package ring

import "fmt"

// StrategyError reports a strategy that returned an error, panicked, or filled
// a table that breaks a rule.
type StrategyError struct {
	Strategy  string // the strategy's name
	Partition int    // the first partition that breaks the rule; -1 when the error is not about a partition
	Rule      string // the rule that is broken, for example "owners are distinct"
	Err       error  // the strategy's error, or the values that break the rule
}

// Error names the strategy, the partition, the rule and the cause.
func (e *StrategyError) Error() string {
	if e.Partition < 0 {
		return fmt.Sprintf("ring: strategy %q: %s: %v", e.Strategy, e.Rule, e.Err)
	}
	return fmt.Sprintf("ring: strategy %q: partition %d: %s: %v", e.Strategy, e.Partition, e.Rule, e.Err)
}

// Unwrap returns the cause.
func (e *StrategyError) Unwrap() error { return e.Err }
