package kms

import (
	"cmp"
	"context"
	"net/netip"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/xks"
	"vigil/internal/store"
)

// CreateCustomKeyStore makes an external key store, DISCONNECTED at first. Its proxy is asked how it is before.
func (k *KMS) CreateCustomKeyStore(ctx context.Context, c *call.Call, in *kms.CreateCustomKeyStoreInput) (
	*kms.CreateCustomKeyStoreOutput, error) {
	in.CustomKeyStoreType = cmp.Or(in.CustomKeyStoreType, types.CustomKeyStoreTypeAwsCloudhsm)
	if err := allowAny(c, "kms:CreateCustomKeyStore", in); err != nil {
		return nil, err
	}
	if err := checkCreateStore(in); err != nil {
		return nil, err
	}
	made := &keyStore{
		ref:     newStoreRef(c.Account(), c.Region),
		name:    *in.CustomKeyStoreName,
		state:   types.ConnectionStateTypeDisconnected,
		created: fromMillis(toMillis(c.Time)),
		proxy: xks.Proxy{Endpoint: *in.XksProxyUriEndpoint, Path: *in.XksProxyUriPath, Region: c.Region,
			Credential: credentialOf(in.XksProxyAuthenticationCredential)},
	}
	made.credited = made.created
	check := func(tx store.Tx) error { return made.mayBe(tx) }
	if err := k.db.View(ctx, check); err != nil { // before the proxy is troubled
		return nil, err
	}
	if err := k.tryProxy(ctx, c, made); err != nil {
		return nil, err
	}
	wrapped, err := k.wrapCredential(made)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := check(tx); err != nil {
			return err
		}
		ref := made.ref
		_, err := tx.Exec(`INSERT INTO kms_key_store (`+storeColumns+`) VALUES ($1, $2, $3, $4, $5, '', $6, $7, $8, $9, $10, $11, 0)`,
			ref.account, ref.region, ref.id, made.name, made.state, made.proxy.Endpoint, made.proxy.Path,
			made.proxy.Credential.AccessKeyID, wrapped, toMillis(made.created), toMillis(made.credited))
		return err
	})
	return &kms.CreateCustomKeyStoreOutput{CustomKeyStoreId: &made.ref.id}, nil
}

func credentialOf(c *types.XksProxyAuthenticationCredentialType) xks.Credential {
	return xks.NewCredential(*c.AccessKeyId, *c.RawSecretAccessKey)
}

func (k *KMS) wrapCredential(s *keyStore) ([]byte, error) {
	credential := s.proxy.Credential
	return k.material.Wrap([]byte(credential.Secret()), s.ref.wrapContext(credential.AccessKeyID))
}

// checkCreateStore refuses what lacks something, and what there is not here: clusters of AWS CloudHSM and VPC endpoint
// services.
func checkCreateStore(in *kms.CreateCustomKeyStoreInput) error {
	if err := checkText("customKeyStoreName", *in.CustomKeyStoreName); err != nil {
		return err
	}
	if in.CustomKeyStoreType == types.CustomKeyStoreTypeAwsCloudhsm {
		if in.CloudHsmClusterId == nil || in.KeyStorePassword == nil || in.TrustAnchorCertificate == nil {
			return call.Errorf("ValidationException",
				"CloudHsmClusterId, KeyStorePassword and TrustAnchorCertificate are required for a custom key store of type AWS_CLOUDHSM.")
		}
		return call.Errorf("CloudHsmClusterNotFoundException", "The AWS CloudHSM cluster %s does not exist.", *in.CloudHsmClusterId)
	}
	if in.CloudHsmClusterId != nil || in.KeyStorePassword != nil || in.TrustAnchorCertificate != nil {
		return call.Errorf("ValidationException",
			"CloudHsmClusterId, KeyStorePassword and TrustAnchorCertificate are not valid for a custom key store of type EXTERNAL_KEY_STORE.")
	}
	if in.XksProxyConnectivity == "" || in.XksProxyUriEndpoint == nil || in.XksProxyUriPath == nil || in.XksProxyAuthenticationCredential == nil {
		return call.Errorf("ValidationException", "XksProxyConnectivity, XksProxyUriEndpoint, XksProxyUriPath and "+
			"XksProxyAuthenticationCredential are required for a custom key store of type EXTERNAL_KEY_STORE.")
	}
	if err := checkConnectivity(in.XksProxyConnectivity, in.XksProxyVpcEndpointServiceName); err != nil {
		return err
	}
	return checkEndpoint(*in.XksProxyUriEndpoint)
}

func checkConnectivity(connectivity types.XksProxyConnectivityType, service *string) error {
	switch {
	case connectivity == types.XksProxyConnectivityTypePublicEndpoint && service == nil:
		return nil
	case connectivity == types.XksProxyConnectivityTypePublicEndpoint:
		return call.Errorf("ValidationException", "XksProxyVpcEndpointServiceName is not valid when XksProxyConnectivity is PUBLIC_ENDPOINT.")
	case service == nil:
		return call.Errorf("ValidationException", "XksProxyVpcEndpointServiceName is required when XksProxyConnectivity is VPC_ENDPOINT_SERVICE.")
	}
	return call.Errorf("XksProxyVpcEndpointServiceNotFoundException", "The Amazon VPC endpoint service %s does not exist: there are no Amazon "+
		"VPCs here. A PUBLIC_ENDPOINT can be any address that the server reaches.", *service)
}

// checkEndpoint: a proxy is at a name, on port 443.
func checkEndpoint(endpoint string) error {
	host := strings.TrimPrefix(endpoint, "https://")
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(strings.Trim(host, "."), ".") {
		return call.Errorf("ValidationException", "XksProxyUriEndpoint must be https:// and a fully qualified domain name.")
	}
	return nil
}

// mayBe says whether there can be a key store like this one beside the others of its account and region.
func (s *keyStore) mayBe(tx store.Tx) error {
	count := func(and string, args ...any) (n int, err error) {
		args = append([]any{s.ref.account, s.ref.region, s.ref.id}, args...)
		err = tx.QueryRow(`SELECT COUNT(*) FROM kms_key_store WHERE account = $1 AND region = $2 AND id <> $3`+and, args...).Scan(&n)
		return n, err
	}
	for _, rule := range []struct {
		and     string
		args    []any
		most    int
		refused *call.Error
	}{
		{` AND name = $4`, []any{s.name}, 0, call.Errorf("CustomKeyStoreNameInUseException",
			"A custom key store with the name %s already exists in this account and Region.", s.name)},
		{` AND endpoint = $4 AND path = $5`, []any{s.proxy.Endpoint, s.proxy.Path}, 0, call.Errorf("XksProxyUriInUseException",
			"The concatenation of the XksProxyUriEndpoint and XksProxyUriPath is already associated with another external key store in this account and Region.")},
		{``, nil, maxKeyStores - 1, call.Errorf("LimitExceededException",
			"The limit of %d custom key stores in this account and Region has been reached.", maxKeyStores)},
	} {
		n, err := count(rule.and, rule.args...)
		if err != nil {
			return err
		}
		if n > rule.most {
			return rule.refused
		}
	}
	return nil
}

// UpdateCustomKeyStore changes an external key store. Name, credential and path can be changed while it is connected, the
// rest only while it is not. Unless only the name changes, the proxy is asked how it is, by what the key store will be.
func (k *KMS) UpdateCustomKeyStore(ctx context.Context, c *call.Call, in *kms.UpdateCustomKeyStoreInput) (
	*kms.UpdateCustomKeyStoreOutput, error) {
	if err := allowAny(c, "kms:UpdateCustomKeyStore", in); err != nil {
		return nil, err
	}
	is, err := k.keyStore(ctx, c, *in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	noteStore(c, is)
	will, err := is.updated(c, in)
	if err != nil {
		return nil, err
	}
	check := func(tx store.Tx) error { return will.mayBe(tx) }
	if err := k.db.View(ctx, check); err != nil {
		return nil, err
	}
	if in.XksProxyAuthenticationCredential != nil || in.XksProxyConnectivity != "" || will.proxy.Endpoint != is.proxy.Endpoint || will.proxy.Path != is.proxy.Path {
		if err := k.tryProxy(ctx, c, will); err != nil {
			return nil, err
		}
	}
	wrapped, err := k.wrapCredential(will)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := check(tx); err != nil {
			return err
		}
		ref := will.ref
		changed, err := tx.Exec(`UPDATE kms_key_store SET name = $5, endpoint = $6, path = $7, access_key = $8, secret = $9, credited = $10,
			version = version + 1 WHERE account = $1 AND region = $2 AND id = $3 AND version = $4`, ref.account, ref.region, ref.id, is.version,
			will.name, will.proxy.Endpoint, will.proxy.Path, will.proxy.Credential.AccessKeyID, wrapped, toMillis(will.credited))
		if err != nil {
			return err
		}
		if changed == 0 {
			return k.changedMeanwhile(tx, ref)
		}
		return k.storeChanged(tx, ref)
	})
	return &kms.UpdateCustomKeyStoreOutput{}, nil
}

// changedMeanwhile is the answer when a key store is no longer what an operation has looked at.
func (k *KMS) changedMeanwhile(tx store.Tx, ref storeRef) error {
	if _, err := k.readStore(tx, ref); err != nil {
		return err
	}
	return call.Errorf(storeInvalid, "The custom key store %s was changed by another request at the same time. Retry the request.", ref.id)
}

// updated is the key store as the caller wants it to be.
func (s *keyStore) updated(c *call.Call, in *kms.UpdateCustomKeyStoreInput) (*keyStore, error) {
	will := *s
	asked := false
	if in.CloudHsmClusterId != nil || in.KeyStorePassword != nil {
		return nil, call.Errorf("ValidationException", "CloudHsmClusterId and KeyStorePassword are not valid for a custom key store of type EXTERNAL_KEY_STORE.")
	}
	if in.NewCustomKeyStoreName != nil {
		will.name, asked = *in.NewCustomKeyStoreName, true
		if err := checkText("newCustomKeyStoreName", will.name); err != nil {
			return nil, err
		}
	}
	if in.XksProxyAuthenticationCredential != nil {
		will.proxy.Credential, will.credited, asked = credentialOf(in.XksProxyAuthenticationCredential), fromMillis(toMillis(c.Time)), true
	}
	if in.XksProxyUriPath != nil {
		will.proxy.Path, asked = *in.XksProxyUriPath, true
	}
	if s.state == types.ConnectionStateTypeConnecting || s.state == types.ConnectionStateTypeFailed {
		return nil, s.notIn("DISCONNECTED or CONNECTED")
	}
	if in.XksProxyUriEndpoint != nil || in.XksProxyConnectivity != "" || in.XksProxyVpcEndpointServiceName != nil || in.XksProxyVpcEndpointServiceOwner != nil {
		asked = true
		if s.state != types.ConnectionStateTypeDisconnected {
			return nil, s.notIn("DISCONNECTED")
		}
		connectivity := cmp.Or(in.XksProxyConnectivity, types.XksProxyConnectivityTypePublicEndpoint)
		if err := checkConnectivity(connectivity, in.XksProxyVpcEndpointServiceName); err != nil {
			return nil, err
		}
		if in.XksProxyUriEndpoint != nil {
			will.proxy.Endpoint = *in.XksProxyUriEndpoint
		}
		if err := checkEndpoint(will.proxy.Endpoint); err != nil {
			return nil, err
		}
	}
	if !asked {
		return nil, call.Errorf("ValidationException", "The request does not say what to update.")
	}
	return &will, nil
}

// notIn is the answer when a key store is not in a connection state that an operation wants.
func (s *keyStore) notIn(wanted string) error {
	return call.Errorf(storeInvalid, "The connection state of the custom key store %s is %s. This operation requires the connection state %s.",
		s.ref.id, s.state, wanted)
}

// DeleteCustomKeyStore forgets an external key store that is disconnected and has no KMS keys. The external keys stay what they are.
func (k *KMS) DeleteCustomKeyStore(ctx context.Context, c *call.Call, in *kms.DeleteCustomKeyStoreInput) (
	*kms.DeleteCustomKeyStoreOutput, error) {
	if err := allowAny(c, "kms:DeleteCustomKeyStore", in); err != nil {
		return nil, err
	}
	found, err := k.keyStore(ctx, c, *in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	noteStore(c, found)
	ref := found.ref
	c.Effect(func(tx store.Tx) error {
		now, err := k.readStore(tx, ref)
		if err != nil {
			return err
		}
		if now.state != types.ConnectionStateTypeDisconnected {
			return now.notIn("DISCONNECTED")
		}
		var keys int
		if err := tx.QueryRow(`SELECT COUNT(*) FROM kms_external_key WHERE account = $1 AND region = $2 AND store_id = $3`,
			ref.account, ref.region, ref.id).Scan(&keys); err != nil {
			return err
		}
		if keys > 0 {
			return call.Errorf("CustomKeyStoreHasCMKsException", "The custom key store %s contains KMS keys. Schedule their deletion, and wait until they are deleted.", ref.id)
		}
		_, err = tx.Exec(`DELETE FROM kms_key_store WHERE account = $1 AND region = $2 AND id = $3`, ref.account, ref.region, ref.id)
		return err
	})
	return &kms.DeleteCustomKeyStoreOutput{}, nil
}
