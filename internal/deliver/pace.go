package deliver

import "time"

// pace is how many attempts a lane of a limited rate has begun in a second. It outlives the lane, which is forgotten when it has nothing
// waiting. The seconds of a process begin with its attempts: after a restart a lane may begin a second's attempts at once.
type pace struct {
	until time.Time // when the second is over
	begun int
}

// left is how many attempts a lane may still begin in its second, and when the next one begins.
func (r *runner) left(lane string, rate int, now time.Time) (n int, again time.Time) {
	if rate <= 0 {
		return int(^uint(0) >> 1), again
	}
	p := r.paced[lane]
	if p == nil || !now.Before(p.until) {
		p = &pace{until: now.Add(time.Second)}
		r.paced[lane] = p
	}
	return max(0, rate-p.begun), p.until
}

// pace notes attempts that a lane has begun.
func (r *runner) pace(lane string, rate, begun int) {
	if rate > 0 {
		r.paced[lane].begun += begun
	}
}
