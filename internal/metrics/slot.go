package metrics

// A slot numbers an hour of a series among all hours of all series: by the day, then by the series, then by the hour. So what was put
// in the same time, into whatever series, lies on few pages of the database, and so does what a series has of a day.
//
// The lowest 5 bits are the hour of the day, the next 40 the id of the series, and the rest the day since 1970.

const (
	hourBits   = 5
	seriesBits = 40
	dayBits    = hourBits + seriesBits // below the day

	hoursOfDay = 24
)

// slotOf is the slot of an hour, which is counted from 1970.
func slotOf(series, hour int64) int64 {
	day := dayOf(hour)
	return day<<dayBits | series<<hourBits | (hour - day*hoursOfDay)
}

// ofSlot is what a slot is of.
func ofSlot(slot int64) (series, hour int64) {
	return slot & (1<<dayBits - 1) >> hourBits, slot>>dayBits*hoursOfDay + slot&(1<<hourBits-1)
}

// firstSlot is the least slot that an hour of a day can have.
func firstSlot(day int64) int64 { return day << dayBits }

func dayOf(hour int64) int64 {
	if hour < 0 {
		return (hour - hoursOfDay + 1) / hoursOfDay
	}
	return hour / hoursOfDay
}

// endOfDay is the last hour of an hour's day.
func endOfDay(hour int64) int64 { return (dayOf(hour)+1)*hoursOfDay - 1 }
