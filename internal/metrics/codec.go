package metrics

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// Buckets are stored as follows. Numbers are varints as encoding/binary has them, and a float is the varint of its bits in
// reverse order of bytes, as encoding/gob writes them: small whole numbers take three bytes, any number at most ten.
//
//	byte 0    unit (5 bits), period (2 bits: 1, 60, 300, 3600), opaque (1 bit)
//	byte 1    how many bits of the values' fractions were rounded away
//	second    when it begins in its hour
//
// An opaque bucket goes on with its count, sum, minimum and maximum. Any other goes on with the number of its values and, in
// order, each value and its count (twice the count if that is whole, and otherwise a 1 and the count as a float). When there are several
// values their sum follows, as adding them up again could differ in the last digit; when they were rounded, also their minimum and maximum.
const format = 1 // the first byte of whatever holds buckets

var errDamaged = errors.New("the stored points are damaged")

// units are numbered for ever by their place here.
var units = [...]types.StandardUnit{
	types.StandardUnitNone, types.StandardUnitSeconds, types.StandardUnitMicroseconds, types.StandardUnitMilliseconds,
	types.StandardUnitBytes, types.StandardUnitKilobytes, types.StandardUnitMegabytes, types.StandardUnitGigabytes, types.StandardUnitTerabytes,
	types.StandardUnitBits, types.StandardUnitKilobits, types.StandardUnitMegabits, types.StandardUnitGigabits, types.StandardUnitTerabits,
	types.StandardUnitPercent, types.StandardUnitCount, types.StandardUnitBytesSecond, types.StandardUnitKilobytesSecond,
	types.StandardUnitMegabytesSecond, types.StandardUnitGigabytesSecond, types.StandardUnitTerabytesSecond, types.StandardUnitBitsSecond,
	types.StandardUnitKilobitsSecond, types.StandardUnitMegabitsSecond, types.StandardUnitGigabitsSecond, types.StandardUnitTerabitsSecond,
	types.StandardUnitCountSecond,
}

var unitNumbers = func() map[types.StandardUnit]uint8 {
	numbers := map[types.StandardUnit]uint8{"": 0}
	for i, unit := range units {
		numbers[unit] = uint8(i)
	}
	return numbers
}()

var periods = [...]int32{perSecond, perMinute, perFiveMinutes, perHour}

// appendBucket appends a bucket, whose values it puts in order.
func appendBucket(dst []byte, b *bucket) []byte {
	b.compact()
	head := b.unit
	for i, period := range periods {
		if period == b.period {
			head |= uint8(i) << 5
		}
	}
	if b.opaque {
		head |= 1 << 7
	}
	dst = append(dst, head, b.dropped)
	dst = binary.AppendUvarint(dst, uint64(b.second))
	if b.opaque {
		for _, f := range [...]float64{b.count, b.sum, b.min, b.max} {
			dst = appendFloat(dst, f)
		}
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.values)))
	for _, v := range b.values {
		dst = appendFloat(dst, v.value)
		if whole := uint64(v.count); v.count < 1<<53 && float64(whole) == v.count {
			dst = binary.AppendUvarint(dst, whole<<1)
			continue
		}
		dst = binary.AppendUvarint(dst, 1)
		dst = appendFloat(dst, v.count)
	}
	if len(b.values) > 1 || b.dropped > 0 {
		dst = appendFloat(dst, b.sum)
	}
	if b.dropped > 0 {
		dst = appendFloat(dst, b.min)
		dst = appendFloat(dst, b.max)
	}
	return dst
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.AppendUvarint(dst, bits.ReverseBytes64(math.Float64bits(f)))
}

// scanner reads what was appended. After a failure all that it reads is zero.
type scanner struct {
	data []byte
	err  error
}

func (s *scanner) byte() byte {
	if len(s.data) == 0 {
		s.err = errDamaged
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func (s *scanner) uint() uint64 {
	n, size := binary.Uvarint(s.data)
	if size <= 0 {
		s.data, s.err = nil, errDamaged
		return 0
	}
	s.data = s.data[size:]
	return n
}

func (s *scanner) float() float64 {
	f := math.Float64frombits(bits.ReverseBytes64(s.uint()))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		s.err = errDamaged
	}
	return f
}

// bucket reads one bucket into b.
func (s *scanner) bucket(b *bucket) {
	head := s.byte()
	*b = bucket{unit: head & 31, period: periods[head>>5&3], opaque: head>>7 == 1, dropped: s.byte()}
	second := s.uint()
	if int(b.unit) >= len(units) || b.dropped > mantissa-minKept || second >= perHour || second%uint64(b.period) != 0 {
		s.err = errDamaged
		return
	}
	b.second = int32(second)
	if b.opaque {
		b.count, b.sum, b.min, b.max = s.float(), s.float(), s.float(), s.float()
		return
	}
	n := s.uint()
	if n == 0 || n > uint64(len(s.data)/2) { // a value takes two bytes or more
		s.err = errDamaged
		return
	}
	b.values = make([]weighted, n)
	for i := range b.values {
		v := &b.values[i]
		v.value = s.float()
		if count := s.uint(); count == 1 {
			v.count = s.float()
		} else {
			v.count = float64(count >> 1)
		}
		b.count += v.count
		if i > 0 && !(b.values[i-1].value < v.value) {
			s.err = errDamaged
			return
		}
	}
	b.sorted = len(b.values)
	b.min, b.max = b.values[0].value, b.values[n-1].value
	b.sum = b.min * b.count
	if n > 1 || b.dropped > 0 {
		b.sum = s.float()
	}
	if b.dropped > 0 {
		b.min, b.max = s.float(), s.float()
	}
}

// appendBuckets is the body of an hour's row.
func appendBuckets(dst []byte, buckets []bucket) []byte {
	dst = append(dst, format)
	for i := range buckets {
		dst = appendBucket(dst, &buckets[i])
	}
	return dst
}

// readBuckets reads the body of an hour's row.
func readBuckets(body []byte) ([]bucket, error) {
	s := scanner{data: body}
	if s.byte() != format {
		return nil, errDamaged
	}
	var buckets []bucket
	for len(s.data) > 0 && s.err == nil {
		buckets = append(buckets, bucket{})
		s.bucket(&buckets[len(buckets)-1])
	}
	if s.err != nil {
		return nil, s.err
	}
	return buckets, nil
}
