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
// [CheckCluster] checks a cluster of your own, or of a property testing library.
// [MovesOnlyToJoiner], [OneOwnerALeave] and [WithinLimit] are properties that few strategies have.
//
// No test in one process can check that the strategy gives the same result on other
// architectures. Floating-point arithmetic may not: use integers, and compare
// fingerprints on two architectures.
package strategytest
