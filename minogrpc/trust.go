package minogrpc

type TrustPolicy struct{}
