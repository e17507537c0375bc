package notify_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// BenchmarkPublish publishes to one HTTP subscriber, until each message is in the outbox.
func BenchmarkPublish(b *testing.B) {
	h, s := open(b), newSubscriber(b)
	topic := h.topic(b, "t", nil)
	h.subscribe(b, topic, s, nil)
	in := &sns.PublishInput{TopicArn: &topic, Message: new("a message")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.call(alice, "Publish", in); err != nil {
			b.Fatal(err)
		}
	}
}
