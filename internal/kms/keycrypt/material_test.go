package keycrypt_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"vigil/internal/kms/keycrypt"
)

// However material is printed, alone or inside another value, its secret does not appear in any usual form.
func TestMaterialIsNeverPrinted(t *testing.T) {
	secret := []byte("Zq7!xvDs0Kw2mNpUe5RtYb8cGhJ3lAo1")
	m := keycrypt.New(keyID, secret)
	type holder struct {
		m    keycrypt.Material
		p    *keycrypt.Material
		M    keycrypt.Material
		P    *keycrypt.Material
		list []*keycrypt.Material
		any  any
	}
	h := holder{*m, m, *m, m, []*keycrypt.Material{m}, m}

	forms := []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
		base64.StdEncoding.EncodeToString(secret), strings.Trim(fmt.Sprint(secret), "[]"),
		strings.Trim(fmt.Sprintf("%#v", secret), "[]byte{}")}
	var texts []string
	for _, v := range []any{m, *m, h, &h, []any{m}, map[string]any{"m": m}, fmt.Errorf("wrap: %v", m)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		asJSON, _ := json.Marshal(v)
		texts = append(texts, log.String(), string(asJSON))
	}
	for _, text := range texts {
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("the secret is in %q", text)
			}
		}
	}
	if text := fmt.Sprint(m); !strings.Contains(text, m.ID()) {
		t.Errorf("%q does not name the material", text)
	}
}

func TestMaterialID(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	id := keycrypt.MaterialID(keyID, secret)
	if len(id) != 64 || id != keycrypt.New(keyID, secret).ID() {
		t.Fatalf("id %q", id)
	}
	if _, err := hex.DecodeString(id); err != nil {
		t.Error(err)
	}
	for name, other := range map[string]string{
		"another secret":         keycrypt.MaterialID(keyID, bytes.Repeat([]byte{8}, 32)),
		"another key":            keycrypt.MaterialID("0987dcba-09fe-87dc-65ba-ab0987654321", secret),
		"a byte moved to the id": keycrypt.MaterialID(keyID+"\x07", secret[1:]),
	} {
		if other == id {
			t.Errorf("%s has the same id", name)
		}
	}
}

func TestMaterialKeepsItsOwnCopy(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	m := keycrypt.New(keyID, secret)
	blob, err := m.Encrypt(keyARN, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(secret)
	clear(m.Secret())
	if _, err := m.Decrypt(blob, nil); err != nil {
		t.Error("the material changed when its source was overwritten")
	}
}

func TestGenerateIsRandom(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		m := keycrypt.Generate(keyID, keycrypt.SizeHMAC512)
		if n := len(m.Secret()); n != 64 {
			t.Fatalf("%d bytes", n)
		}
		if seen[m.ID()] {
			t.Fatal("the same material twice")
		}
		seen[m.ID()] = true
	}
	if a, b := keycrypt.Random(32), keycrypt.Random(32); len(a) != 32 || bytes.Equal(a, b) {
		t.Error("Random is not")
	}
}
