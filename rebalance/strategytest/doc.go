// Package strategytest checks that a strategy has the properties that a cluster relies
// on. It is for authors of a [ring.RebalanceStrategy]: one test that calls [Check]
// tries the strategy on many generated clusters.
//
//	func TestStrategy(t *testing.T) {
//		if err := strategytest.Check(MyStrategy{}, strategytest.Options{}); err != nil {
//			t.Fatal(err)
//		}
//	}
//
// Each property can also be checked alone, with clusters of your own or those of a
// property testing library. It needs only a strategy and a cluster, and returns an
// error that describes the violation.
//
// No test in one process can check that the strategy gives the same result on other
// architectures. Floating-point arithmetic may not: use integers, and compare
// fingerprints on two architectures.
package strategytest
