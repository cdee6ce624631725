// Command reader opens OpenTeam's sealed values by docs/formats.md, with nothing but Go's standard library (1.26).
//
// It reads a JSON list of {"input": …, "stored": …}, shaped like the files in ../vectors, from standard input, and
// writes for each what it opened and derived, and the input's secret sealed anew, to standard output.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"log"
	"os"
)

type binding struct {
	Namespace, Kind, Name, Field string
	Generation                   uint64
}

type values struct {
	Input struct {
		PrivateKey, PublicKey, KeyID string
		Binding                      binding
		SealedAtMs                   uint64
		Text                         string
	}
	Stored struct {
		Keyset struct {
			ClusterID, Active string
			Keys              []struct{ ID, Secret string }
		}
		Binding    binding
		Data, Wrap string
		Derived    struct{ Label string }
	}
}

type answer struct {
	Input   string `json:"input"`
	Sealed  string `json:"sealed"`
	Stored  string `json:"stored"`
	Derived string `json:"derived"`
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func demand(holds bool, what string) {
	if !holds {
		log.Fatal(what)
	}
}

var text = base64.RawURLEncoding.Strict()

func decode(s string) []byte { return must(text.DecodeString(s)) }

func join(fields ...[]byte) []byte {
	var joined []byte
	for _, field := range fields {
		joined = binary.BigEndian.AppendUint64(joined, uint64(len(field)))
		joined = append(joined, field...)
	}
	return joined
}

func derive(salt, secret, info []byte) []byte {
	return must(hkdf.Key(sha512.New, secret, salt, string(info), 32))
}

func gcmOpen(key, nonce, aad, ciphertext []byte) []byte {
	gcm := must(cipher.NewGCM(must(aes.NewCipher(key))))
	return must(gcm.Open(nil, nonce, ciphertext, aad))
}

func (v *values) input() (opened, sealed string) {
	in := v.Input
	kem, kdf, aead := hpke.MLKEM768X25519(), hpke.HKDFSHA256(), hpke.AES256GCM()
	demand(kem.ID() == 0x647a && kdf.ID() == 0x0001 && aead.ID() == 0x0002, "suite")
	private := must(kem.NewPrivateKey(decode(in.PrivateKey)))
	public := private.PublicKey().Bytes()
	digest := sha256.Sum256(public)
	demand(text.EncodeToString(public) == in.PublicKey, "public key")
	demand(hex.EncodeToString(digest[:8]) == in.KeyID, "key id")

	b := in.Binding
	info := join([]byte("openteam.dev/input/v1"), []byte(b.Namespace), []byte(b.Kind), []byte(b.Name), []byte(b.Field))
	blob := decode(in.Text)
	header, enc, ciphertext := blob[:13], blob[13:1133], blob[1133:]
	demand(bytes.Equal(header, append([]byte("OTin\x01"), digest[:8]...)), "header")
	plain := must(must(hpke.NewRecipient(enc, private, kdf, aead, info)).Open(header, ciphertext))
	demand(binary.BigEndian.Uint64(plain[:8]) == in.SealedAtMs, "sealed time")

	enc, sender, err := hpke.NewSender(must(kem.NewPublicKey(public)), kdf, aead, info)
	demand(err == nil, "sender")
	again := must(sender.Seal(header, plain))
	return text.EncodeToString(plain[8:]), text.EncodeToString(bytes.Join([][]byte{header, enc, again}, nil))
}

func (v *values) stored() (opened, derived string) {
	st := v.Stored
	data, wrap := decode(st.Data), decode(st.Wrap)
	cluster := must(hex.DecodeString(st.Keyset.ClusterID))
	var kek []byte
	for _, key := range st.Keyset.Keys {
		if key.ID == hex.EncodeToString(wrap[6:14]) {
			kek = decode(key.Secret)
			id := derive(nil, kek, join([]byte("openteam.dev/kek-id/v1")))
			demand(hex.EncodeToString(id[:8]) == key.ID, "key id")
		}
	}
	demand(kek != nil, "no such key")
	demand(string(data[:6]) == "OTst\x00\x01" && string(wrap[:6]) == "OTwr\x01\x01" && len(wrap) == 106, "magic")

	salt, commitment, nonce := data[6:38], data[38:70], data[70:82]
	b := st.Binding
	aad := join([]byte("OTst"), []byte{0, 1}, salt, commitment, cluster, []byte(b.Namespace), []byte(b.Kind),
		[]byte(b.Name), []byte(b.Field), binary.BigEndian.AppendUint64(nil, b.Generation))
	wrapAAD := append(bytes.Clone(aad), join(wrap[:6], wrap[6:14])...)
	subkey := derive(wrap[14:46], kek, join([]byte("openteam.dev/kek-wrap/v1")))
	dataKey := gcmOpen(subkey, wrap[46:58], wrapAAD, wrap[58:])
	demand(bytes.Equal(commitment, derive(salt, dataKey, []byte("\x00\x01COMMITKEY"))), "commitment")
	plain := gcmOpen(derive(salt, dataKey, []byte("\x00\x01DERIVEKEY")), nonce, aad, data[82:])

	label := join([]byte("openteam.dev/kek-derive/v1"), []byte(st.Derived.Label))
	return text.EncodeToString(plain), text.EncodeToString(derive(cluster, kek, label))
}

func main() {
	var all []values
	demand(json.NewDecoder(os.Stdin).Decode(&all) == nil, "JSON")
	answers := make([]answer, len(all))
	for i := range all {
		answers[i].Input, answers[i].Sealed = all[i].input()
		answers[i].Stored, answers[i].Derived = all[i].stored()
	}
	demand(json.NewEncoder(os.Stdout).Encode(answers) == nil, "output")
}
