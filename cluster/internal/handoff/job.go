package handoff

// purpose says what a merge is for, and with that how its sources count.
type purpose uint8

const (
	requested   purpose = iota + 1 // the source, a former owner or an earlier one, asked for it
	quorum                         // from RF − W + 1 ready owners: nothing acknowledged can be missing
	settling                       // from members of the pending sets, each of which counts alone
	settlingAll                    // the same, but it counts only when all sources are proven
	salvage                        // from what is left, though it does not make the owner ready
	searching                      // from a process that the loss check found to have something
)

// proof says what a source answered after a merge.
type proof uint8

const (
	unproven proof = iota
	proven         // it is the same process, with the same fence, and still offers
	refuted
)

// source is a process that is merged from.
type source struct {
	process Process
	said    *report // before the merge
	proof   proof
}

// job is a job with what the machine needs to take its end.
type job struct {
	Job
	purpose purpose
	sources []source
	begun   uint64 // the ownership that it belongs to
	query   uint64 // the last query sent before the merge was done
}

func merge(why purpose, need int, sources ...source) *job {
	return &job{Job: Job{Kind: Merge, Need: need}, purpose: why, sources: sources}
}

// answered takes the word of a source about itself after the merge.
func (j *job) answered(from Process, said *report) {
	for i := range j.sources {
		if h := &j.sources[i]; h.process == from {
			if said.fence == h.said.fence && said.is(flagOffers) {
				h.proof = proven
			} else if h.proof != proven {
				h.proof = refuted
			}
		}
	}
}
