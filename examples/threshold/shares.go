package main

import (
	"crypto/rand"

	"github.com/cloudflare/circl/ecc/bls12381"
	"github.com/cloudflare/circl/sign/bls"
)

type (
	secretKey = bls.PrivateKey[bls.KeyG1SigG2]
	publicKey = bls.PublicKey[bls.KeyG1SigG2]
)

// committee is what everybody knows: the key of all together, the key of each player, and how many players can sign.
type committee struct {
	group   *publicKey
	members []*publicKey
	k       int
}

// deal gives each of n players its part of a new secret. The secret is the value at 0 of a random polynomial that k
// points define, and player i has the value at i+1. This dealer knows the secret of all. Players that trust no
// dealer generate the key together.
func deal(k, n int) (committee, []*secretKey) {
	polynomial := make([]bls12381.Scalar, k)
	for i := range polynomial {
		check(polynomial[i].Random(rand.Reader))
	}

	c, secrets := committee{group: secretAt(polynomial, 0).PublicKey(), k: k}, make([]*secretKey, n)
	for i := range secrets {
		secrets[i] = secretAt(polynomial, i+1)
		c.members = append(c.members, secrets[i].PublicKey())
	}

	return c, secrets
}

func secretAt(polynomial []bls12381.Scalar, x int) *secretKey {
	sum := scalar(0)
	for i := len(polynomial) - 1; i >= 0; i-- {
		sum.Mul(sum, scalar(x))
		sum.Add(sum, &polynomial[i])
	}

	data, err := sum.MarshalBinary()
	check(err)

	secret := new(secretKey)
	check(secret.UnmarshalBinary(data))

	return secret
}

// combine makes the signature of all out of k good shares, by player. It is the value at 0 of the polynomial through
// the shares, which are points of a curve: only they are multiplied, and nobody learns the secret.
func combine(shares map[int]bls.Signature) (bls.Signature, error) {
	var sum, point bls12381.G2

	sum.SetIdentity()

	for i, share := range shares {
		err := point.SetBytes(share)
		if err != nil {
			return nil, err
		}

		point.ScalarMult(weight(i, shares), &point)
		sum.Add(&sum, &point)
	}

	return sum.BytesCompressed(), nil
}

// weight is the Lagrange coefficient of player i at 0: the product of x/(x - own) over the other players.
func weight(i int, shares map[int]bls.Signature) *bls12381.Scalar {
	product, own := scalar(1), scalar(i+1)

	for j := range shares {
		if j != i {
			x, distance := scalar(j+1), new(bls12381.Scalar)
			distance.Sub(x, own)
			distance.Inv(distance)
			product.Mul(product, x)
			product.Mul(product, distance)
		}
	}

	return product
}

func scalar(x int) *bls12381.Scalar {
	s := new(bls12381.Scalar)
	s.SetUint64(uint64(x))

	return s
}
