package keycrypt

import (
	"bytes"
	"crypto/sha3"
	"math/bits"
)

// This file verifies ML-DSA signatures of μ, which the module that signs has no function for. It is FIPS 204's
// Algorithm 8 from step 8 on, and what that calls, as they are written there: all of it is public, so nothing here has
// to take constant time. The names are the standard's.

const (
	mldsaQ = 8380417 // the prime
	mldsaN = 256     // coefficients of a polynomial
	mldsaD = 13      // bits dropped from t
)

// mldsaParameters are those of FIPS 204, table 1, that verification needs.
type mldsaParameters struct {
	k, l    int    // the size of the matrix A
	γ1Bits  int    // of γ1, a power of two
	γ2      uint32 // the range of low-order bits
	τ, β, ω int    // ±1s of c; τ times η; the most 1s in the hint
	cSize   int    // of c̃, λ/4
	w1Bits  int    // of a coefficient of w1
}

var mldsaSets = map[Spec]mldsaParameters{
	MLDSA44: {4, 4, 17, (mldsaQ - 1) / 88, 39, 78, 80, 32, 6},
	MLDSA65: {6, 5, 19, (mldsaQ - 1) / 32, 49, 196, 55, 48, 4},
	MLDSA87: {8, 7, 19, (mldsaQ - 1) / 32, 60, 120, 75, 64, 4},
}

// poly is a polynomial, or its NTT. Its coefficients are below mldsaQ.
type poly [mldsaN]uint32

// verifyMu reports whether a signature is the public key's of the message that μ stands for.
func verifyMu(spec Spec, public, μ, signature []byte) bool {
	p := mldsaSets[spec]
	ρ, t1 := public[:32], public[32:]
	c, z, h, ok := p.decode(signature)
	if !ok {
		return false
	}
	challenge := sampleInBall(c, p.τ)
	challenge.ntt()
	for i := range z {
		z[i].ntt()
	}
	hash := sha3.NewSHAKE256()
	hash.Write(μ)
	for i := range p.k {
		var w, t poly
		for j := range z {
			a := rejNTTPoly(ρ, byte(j), byte(i))
			w.addProduct(&a, &z[j])
		}
		for n := range t {
			t[n] = uint32(unpack(t1[320*i:], n, 10)) << mldsaD
		}
		t.ntt()
		for n := range w {
			w[n] = sub(w[n], mul(challenge[n], t[n]))
		}
		w.inverseNTT()
		for n := range w {
			w[n] = useHint(h[i][n], w[n], p.γ2)
		}
		hash.Write(pack(&w, p.w1Bits))
	}
	again := make([]byte, p.cSize)
	hash.Read(again)
	return bytes.Equal(again, c)
}

// decode is sigDecode, Algorithm 27, with the bound on z of Algorithm 8, step 13.
func (p mldsaParameters) decode(signature []byte) (c []byte, z []poly, h [][mldsaN]bool, ok bool) {
	zSize := mldsaN / 8 * (p.γ1Bits + 1)
	if len(signature) != p.cSize+p.l*zSize+p.ω+p.k {
		return nil, nil, nil, false
	}
	c, rest := signature[:p.cSize], signature[p.cSize:]
	γ1 := 1 << p.γ1Bits
	z = make([]poly, p.l)
	for i := range z {
		for n := range z[i] {
			coefficient := γ1 - unpack(rest[i*zSize:], n, p.γ1Bits+1)
			if coefficient >= γ1-p.β || coefficient <= p.β-γ1 {
				return nil, nil, nil, false
			}
			z[i][n] = uint32((coefficient + mldsaQ) % mldsaQ)
		}
	}
	h, ok = p.hint(rest[p.l*zSize:])
	return c, z, h, ok
}

// hint is HintBitUnpack, Algorithm 21. There is one way to write a hint: any other is refused.
func (p mldsaParameters) hint(y []byte) (h [][mldsaN]bool, ok bool) {
	h = make([][mldsaN]bool, p.k)
	index := 0
	for i := range h {
		end := int(y[p.ω+i])
		if end < index || end > p.ω {
			return nil, false
		}
		for first := index; index < end; index++ {
			if index > first && y[index-1] >= y[index] {
				return nil, false
			}
			h[i][y[index]] = true
		}
	}
	for _, b := range y[index:p.ω] {
		if b != 0 {
			return nil, false
		}
	}
	return h, true
}

// unpack is the n-th of numbers of so many bits each, as SimpleBitUnpack, Algorithm 18, reads them.
func unpack(v []byte, n, width int) (number int) {
	for i := range width {
		bit := n*width + i
		number |= int(v[bit/8]>>(bit%8)&1) << i
	}
	return number
}

// pack is SimpleBitPack, Algorithm 16, of coefficients of so many bits each.
func pack(w *poly, width int) []byte {
	v := make([]byte, mldsaN/8*width)
	for n, coefficient := range w {
		for i := range width {
			bit := n*width + i
			v[bit/8] |= byte(coefficient>>i&1) << (bit % 8)
		}
	}
	return v
}

// sampleInBall is Algorithm 29: the challenge polynomial with τ coefficients of ±1.
func sampleInBall(seed []byte, τ int) (c poly) {
	shake := sha3.NewSHAKE256()
	shake.Write(seed)
	var signs [8]byte
	shake.Read(signs[:])
	for i := mldsaN - τ; i < mldsaN; i++ {
		var j [1]byte
		for shake.Read(j[:]); int(j[0]) > i; {
			shake.Read(j[:])
		}
		c[i] = c[j[0]]
		c[j[0]] = 1
		if sign := i + τ - mldsaN; signs[sign/8]>>(sign%8)&1 == 1 {
			c[j[0]] = mldsaQ - 1
		}
	}
	return c
}

// rejNTTPoly is Algorithm 30: an entry of A, in the NTT domain.
func rejNTTPoly(ρ []byte, column, row byte) (a poly) {
	shake := sha3.NewSHAKE128()
	shake.Write(ρ)
	shake.Write([]byte{column, row})
	var buf [168]byte // a whole block, 56 candidates
	for n := 0; n < mldsaN; {
		shake.Read(buf[:])
		for i := 0; i < len(buf) && n < mldsaN; i += 3 {
			z := uint32(buf[i]) | uint32(buf[i+1])<<8 | uint32(buf[i+2]&0x7f)<<16
			if z < mldsaQ {
				a[n] = z
				n++
			}
		}
	}
	return a
}

// useHint is Algorithm 40: the high-order bits of r, corrected by the hint.
func useHint(hint bool, r, γ2 uint32) uint32 {
	m := (mldsaQ - 1) / (2 * γ2)
	r1, r0 := decompose(r, γ2)
	switch {
	case !hint:
		return r1
	case r0 > 0:
		return (r1 + 1) % m
	}
	return (r1 + m - 1) % m
}

// decompose is Algorithm 36.
func decompose(r, γ2 uint32) (r1 uint32, r0 int) {
	r0 = int(r % (2 * γ2))
	if r0 > int(γ2) {
		r0 -= int(2 * γ2)
	}
	if int(r)-r0 == mldsaQ-1 {
		return 0, r0 - 1
	}
	return uint32(int(r)-r0) / (2 * γ2), r0
}

// zetas are powers of ζ = 1753, the table of FIPS 204, appendix B.
var zetas = func() (table poly) {
	var powers poly
	powers[0] = 1
	for i := 1; i < mldsaN; i++ {
		powers[i] = mul(powers[i-1], 1753)
	}
	for i := range table {
		table[i] = powers[bits.Reverse8(uint8(i))]
	}
	return table
}()

// ntt is Algorithm 41.
func (w *poly) ntt() {
	m := 0
	for length := mldsaN / 2; length >= 1; length /= 2 {
		for start := 0; start < mldsaN; start += 2 * length {
			m++
			for j := start; j < start+length; j++ {
				t := mul(zetas[m], w[j+length])
				w[j+length] = sub(w[j], t)
				w[j] = add(w[j], t)
			}
		}
	}
}

// inverseNTT is Algorithm 42.
func (w *poly) inverseNTT() {
	m := mldsaN
	for length := 1; length < mldsaN; length *= 2 {
		for start := 0; start < mldsaN; start += 2 * length {
			m--
			for j := start; j < start+length; j++ {
				t := w[j]
				w[j] = add(t, w[j+length])
				w[j+length] = mul(mldsaQ-zetas[m], sub(t, w[j+length]))
			}
		}
	}
	for n := range w {
		w[n] = mul(w[n], 8347681) // 256⁻¹
	}
}

// addProduct adds the product of two polynomials in the NTT domain.
func (w *poly) addProduct(a, b *poly) {
	for n := range w {
		w[n] = add(w[n], mul(a[n], b[n]))
	}
}

func add(a, b uint32) uint32 { return (a + b) % mldsaQ }
func sub(a, b uint32) uint32 { return (a + mldsaQ - b) % mldsaQ }
func mul(a, b uint32) uint32 { return uint32(uint64(a) * uint64(b) % mldsaQ) }
