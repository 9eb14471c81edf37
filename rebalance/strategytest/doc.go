// Package strategytest checks that a strategy keeps what a cluster relies on. It
// is for authors of a [ring.RebalanceStrategy]: one test that calls [Check] tries the
// strategy on many generated clusters.
//
//	func TestStrategy(t *testing.T) {
//		if err := strategytest.Check(MyStrategy{}, strategytest.Options{}); err != nil {
//			t.Fatal(err)
//		}
//	}
//
// The properties can be used one by one too, with clusters of your own or those
// of a property testing library. They need nothing but a strategy and return
// what is wrong.
//
// What no test of one process can check: that the strategy does the same on
// other architectures. Floating point does not; keep to integers, and compare
// fingerprints on two of them.
package strategytest
