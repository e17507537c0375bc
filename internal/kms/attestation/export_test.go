package attestation

// Payload is what is signed in a document.
func Payload(document []byte) ([]byte, error) {
	s, err := parseSigned(document)
	if err != nil {
		return nil, err
	}
	return s.payload, nil
}

// ParseContent is a document from its payload alone.
func ParseContent(payload []byte) (*Document, error) {
	c, err := parseContent(payload)
	if err != nil {
		return nil, err
	}
	return c.document(), nil
}
