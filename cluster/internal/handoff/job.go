package handoff

// purpose says why a merge runs. The purpose decides how the sources count.
type purpose uint8

const (
	requested   purpose = iota + 1 // the source, a former owner or an earlier owner, asked for the merge
	quorum                         // from RF − W + 1 ready owners: nothing acknowledged can be missing
	settling                       // from members of the pending sets; each source counts alone
	settlingAll                    // as settling, but the merge counts only when all sources are proven
	salvage                        // from all that have data left; the owner does not become ready
	searching                      // from a process that has data, as the loss check found
)

// proof says what a source answered after a merge.
type proof uint8

const (
	unproven proof = iota
	proven         // the source is the same process, with the same fence, and still offers its data
	refuted
)

// source is a process to merge from.
type source struct {
	process Process
	said    *report // the report of the source before the merge
	proof   proof
}

// job is a Job, with what the machine needs to process its end.
type job struct {
	Job
	purpose purpose
	sources []source
	begun   uint64 // partition.begun when the job began
	query   uint64 // the last query sent before the merge ended
}

func merge(why purpose, need int, sources ...source) *job {
	return &job{Job: Job{Kind: Merge, Need: need}, purpose: why, sources: sources}
}

// answered judges a source by the report that it sent after the merge.
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
