// Package measure times small operations against each other and reports what
// it found.
//
// A machine that does other things too, or changes its clock rate, makes any one
// timing worthless. So the cases of a group take turns, a short sample each, for
// many rounds: what disturbs the machine falls on all of them alike. A case's
// time is the median of its samples, its ratio to another the median of the
// ratios within each round, and both come with their quartiles.
//
//	results, err := measure.Run(ctx, []measure.Case{
//		{Group: "Primary", Name: "hash alone", Role: measure.Floor, Make: hash},
//		{Group: "Primary", Name: "clusterkit", Role: measure.Reference, Make: ours},
//		{Group: "Primary", Name: "somebody else", Make: theirs},
//	}, measure.Options{})
//	if err != nil {
//		return err
//	}
//	err = measure.WriteTable(os.Stdout, results)
package measure
