// Package detection tests how fast members that fail are noticed, and how often members
// that run are not. It runs experiments of the papers on Lifeguard (Dadgar, Phillips and
// Currey, 2018) and Rapid (Suresh et al., 2018) in virtual time, with members of this
// library, and the same with members of plain memberlist, side by side.
//
// By default the tests run few of the experiments, each once, and require what always
// holds. These commands print the tables of docs/detection.md, the second one with a tenth of the
// crashes:
//
//	CLUSTERKIT_DETECTION=full go test -p 1 -v -run Table -timeout 5h ./clusterkit_test/detection
//	CLUSTERKIT_DETECTION=brief go test -p 1 -v -run Table -timeout 2h ./clusterkit_test/detection
package detection
