package wire

// The record of a call, as CloudTrail writes it, shows the call's input and output in a form of their own: the first letter of
// each member's name is small and nothing else of it (AWSAccountId becomes aWSAccountId), names that are a map's keys stay, and
// times are text. Sensitive members and binary ones are left out, and a structure with nothing left to show too.
// Empty lists that are set are shown, and what the model gives a default to, such as bypassPolicyLockoutSafetyCheck, always is.

// AppendRequestRecord appends the requestParameters of the record of a call with the input in: a JSON object, or null when
// there is nothing to show. leaveOut names members of the input, as the model does, that AWS leaves out for no reason that
// the model knows; "*" leaves out all.
func (o *Operation) AppendRequestRecord(dst []byte, in any, leaveOut []string) []byte {
	if len(leaveOut) == 1 && leaveOut[0] == "*" {
		return append(dst, "null"...)
	}
	start := len(dst)
	return nullIfEmpty(appendStructure(dst, o.in, o.input(in), asRecord, leaveOut), start)
}

// AppendResponseRecord appends the responseElements of the record of a call that was answered with out, which may be nil:
// a JSON object, or null when there is nothing to show.
func (o *Operation) AppendResponseRecord(dst []byte, out any) []byte {
	v := o.output(out)
	if !v.IsValid() {
		return append(dst, "null"...)
	}
	start := len(dst)
	return nullIfEmpty(appendStructure(dst, o.out, v, asRecord, nil), start)
}

func nullIfEmpty(dst []byte, start int) []byte {
	if string(dst[start:]) == "{}" {
		return append(dst[:start], "null"...)
	}
	return dst
}
