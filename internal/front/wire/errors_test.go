package wire

import "testing"

func TestErrors(t *testing.T) {
	tests := []struct{ service, name, json, code, fault string }{
		{"cloudwatch", "InvalidParameterValueException", `{"__type":"InvalidParameterValueException","message":"no"}`, "InvalidParameterValue", "Sender"},
		{"cloudwatch", "ResourceNotFound", `{"__type":"ResourceNotFound","message":"no"}`, "ResourceNotFound", "Sender"},
		{"cloudwatch", "DashboardNotFoundError", `{"__type":"DashboardNotFoundError","message":"no"}`, "ResourceNotFound", "Sender"},
		{"cloudwatch", "InternalServiceFault", `{"__type":"InternalServiceFault","Message":"no"}`, "InternalServiceError", "Receiver"},
		{"cloudwatch", "ConflictException", `{"__type":"ConflictException","Message":"no"}`, "ConflictException", "Sender"},
		{"sns", "NotFoundException", `{"__type":"NotFoundException","message":"no"}`, "NotFound", "Sender"},
		{"sns", "InvalidParameterValueException", `{"__type":"InvalidParameterValueException","message":"no"}`, "ParameterValueInvalid", "Sender"},
		{"logs", "ServiceUnavailableException", `{"__type":"ServiceUnavailableException","message":"no"}`, "ServiceUnavailableException", "Receiver"},
	}
	for _, test := range tests {
		s, err := Load(test.service)
		if err != nil {
			t.Fatal(err)
		}
		e, ok := s.Error(test.name)
		if got := string(e.AppendJSON(nil, "no")); !ok || got != test.json || e.Code != test.code || string(e.Fault()) != test.fault {
			t.Errorf("%s %s: got %s, %+v", test.service, test.name, got, e)
		}
	}
	s, _ := Load("cloudwatch")
	for _, name := range []string{"InvalidParameterValue", "AccessDeniedException", "PutMetricDataInput", ""} {
		if e, ok := s.Error(name); ok {
			t.Errorf("%q is an error: %+v", name, e)
		}
	}
}

func TestErrorsThatNoModelHas(t *testing.T) {
	e := UnknownError("AccessDenied", 403)
	if got := string(e.AppendJSON(nil, `Key 'a"b' does not exist`)); got != `{"__type":"AccessDenied","message":"Key 'a\"b' does not exist"}` {
		t.Errorf("got %s", got)
	}
	if got := string(e.AppendJSON(nil, "")); got != `{"__type":"AccessDenied"}` {
		t.Errorf("without a message: got %s", got)
	}
	if got, want := e.AppendCBOR(nil, "no"), encoded(t, "bf '__type' 'AccessDenied' 'message' 'no' ff"); string(got) != string(want) {
		t.Errorf("got %q", got)
	}
	if got, want := e.AppendCBOR(nil, ""), encoded(t, "bf '__type' 'AccessDenied' ff"); string(got) != string(want) {
		t.Errorf("without a message: got %q", got)
	}
	const xml = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code>` +
		`<Message>&lt;no&gt;</Message></Error><RequestId>id</RequestId></ErrorResponse>`
	if got := string(e.AppendXML(nil, "https://sts.amazonaws.com/doc/2011-06-15/", "<no>", "id")); got != xml {
		t.Errorf("got %s", got)
	}
}
