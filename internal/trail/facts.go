package trail

import "vigil"

// facts are what the history needs of a record.
type facts struct{ vigil.Outline }

// management says that the record is a management event, which alone are in the event history. Records of
// versions before 1.07 have no category, and no other events were mixed with them.
func (f *facts) management() bool {
	return len(f.Category) == 0 || string(f.Category) == "Management"
}

// readOnlyText is how LookupEvents writes readOnly.
func (f *facts) readOnlyText() string {
	if f.ReadOnly {
		return "true"
	}
	return "false"
}

// is says whether an attribute of the record has the value.
func (f *facts) is(k kind, value string) bool {
	switch k {
	case everything:
		return true
	case eventID:
		return string(f.EventID) == value
	case eventName:
		return string(f.EventName) == value
	case eventSource:
		return string(f.EventSource) == value
	case readOnly:
		return f.readOnlyText() == value
	case username:
		return string(f.Username) == value
	case accessKeyID:
		return string(f.AccessKeyID) == value
	}
	for _, r := range f.Resources {
		if k == resourceName && string(r.ARN) == value || k == resourceType && string(r.Type) == value {
			return true
		}
	}
	return false
}
