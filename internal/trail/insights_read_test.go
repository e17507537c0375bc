package trail

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/trail/insights"
)

// What is brought in at once was done elsewhere, over some time: it is no rate of this server's calls.
func TestInsightsPassOverImportedRecords(t *testing.T) {
	j := openJournal(t)
	now := time.Now().UTC()
	in := scope{account: "111122223333", region: "us-east-1"}
	called := func(name string) []byte {
		return fmt.Appendf(nil, `{"eventVersion":"1.11","eventTime":"%s","eventSource":"kms.amazonaws.com","eventName":"%s","awsRegion":"us-east-1",`+
			`"eventID":"%s","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}`,
			now.Format(time.RFC3339), name, name)
	}
	w := vigil.PageWriter{Imported: now}
	w.Add(now, called("DisableKey"))
	first, last := w.Times()
	page := journal.Page{Count: w.Len(), First: first, Last: last, Body: bytes.Clone(w.Encode())}
	err := j.Commit(context.Background(), func(tx store.Tx) error { return j.Append(tx, []journal.Page{page}) },
		func(error) []journal.Record { return []journal.Record{{Time: now, Data: called("TagResource")}} })
	if err != nil {
		t.Fatal(err)
	}
	if err := j.WaitSequenced(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := &finder{Trail: newTrail(t, j, openDB(t, "history.db"), 1), models: map[scope]*insights.Model{in: insights.New(now.Unix() / 60)}}
	if err := f.read(t.Context(), j.Sequenced()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range f.models[in].Series {
		names = append(names, s.Name)
	}
	if fmt.Sprint(names) != "[TagResource]" || f.next != 2 {
		t.Errorf("the model counts %v up to %d", names, f.next)
	}
}
