package identity

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

const (
	maxClients     = 100 // of a provider
	maxThumbprints = 5
)

var thumbprintForm = regexp.MustCompile(`^[0-9A-Fa-f]{40}$`)

// createOpenIDConnectProvider makes a provider of web identities. Nothing is asked of it yet: its keys are fetched when a token of
// it comes.
func (id *Identity) createOpenIDConnectProvider(_ context.Context, c *call.Call, in *iam.CreateOpenIDConnectProviderInput) (*iam.CreateOpenIDConnectProviderOutput, error) {
	at, err := providerURL(*in.Url)
	if err != nil {
		return nil, err
	}
	set, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	p := &oidcProvider{Account: c.Account(), URL: at, Created: c.Time.UnixMilli(), Clients: in.ClientIDList, Thumbprints: in.ThumbprintList, Tags: set}
	if err := id.allow(c, p.arn(), nil, keys{}.requestTags(set)); err != nil {
		return nil, err
	}
	if len(p.Clients) > maxClients {
		return nil, overQuota("ClientIdsPerOpenIdConnectProvider", maxClients)
	}
	if err := checkThumbprints(p.Thumbprints); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error { return id.create(tx, p, p.URL) })
	return &iam.CreateOpenIDConnectProviderOutput{OpenIDConnectProviderArn: new(p.arn()), Tags: set.shown()}, nil
}

// providerURL is a provider's URL without https://.
func providerURL(text string) (string, error) {
	rest, ok := strings.CutPrefix(text, "https://")
	u, err := url.Parse(text)
	if !ok || err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || strings.ContainsAny(text, " #") {
		return "", validation("Invalid Open ID Connect Provider URL")
	}
	return rest, nil
}

func checkThumbprints(list []string) error {
	if len(list) > maxThumbprints {
		return invalidInput("Thumbprint list must contain fewer than 5 entries.")
	}
	for _, one := range list {
		if !thumbprintForm.MatchString(one) {
			return invalidInput("Thumbprint must be 40 hexadecimal digits.")
		}
	}
	return nil
}

func (id *Identity) getOpenIDConnectProvider(_ context.Context, c *call.Call, in *iam.GetOpenIDConnectProviderInput) (*iam.GetOpenIDConnectProviderOutput, error) {
	found, err := id.find(c, target{provider, *in.OpenIDConnectProviderArn})
	if err != nil {
		return nil, err
	}
	p := found.(*oidcProvider)
	return &iam.GetOpenIDConnectProviderOutput{
		Url: &p.URL, CreateDate: timeOf(p.Created), ClientIDList: append([]string{}, p.Clients...),
		ThumbprintList: append([]string{}, p.Thumbprints...), Tags: p.Tags.shown(),
	}, nil
}

func (id *Identity) listOpenIDConnectProviders(_ context.Context, c *call.Call, _ *iam.ListOpenIDConnectProvidersInput) (*iam.ListOpenIDConnectProvidersOutput, error) {
	if err := id.allow(c, "*", nil, nil); err != nil {
		return nil, err
	}
	out := &iam.ListOpenIDConnectProvidersOutput{OpenIDConnectProviderList: []types.OpenIDConnectProviderListEntry{}}
	for _, p := range all[*oidcProvider](id.known, c.Account(), provider) {
		out.OpenIDConnectProviderList = append(out.OpenIDConnectProviderList, types.OpenIDConnectProviderListEntry{Arn: new(p.arn())})
	}
	return out, nil
}

// deleteOpenIDConnectProvider deletes a provider. Roles that trust it stay; sessions that were made live to their end.
func (id *Identity) deleteOpenIDConnectProvider(_ context.Context, c *call.Call, in *iam.DeleteOpenIDConnectProviderInput) (*iam.DeleteOpenIDConnectProviderOutput, error) {
	t := target{provider, *in.OpenIDConnectProviderArn}
	found, err := id.find(c, t)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		now, err := again(tx, t, found)
		if err != nil {
			return err
		}
		return id.drop(tx, now)
	})
	return &iam.DeleteOpenIDConnectProviderOutput{}, nil
}

func (id *Identity) addClientIDToOpenIDConnectProvider(_ context.Context, c *call.Call, in *iam.AddClientIDToOpenIDConnectProviderInput) (*iam.AddClientIDToOpenIDConnectProviderOutput, error) {
	return &iam.AddClientIDToOpenIDConnectProviderOutput{}, id.change(c, target{provider, *in.OpenIDConnectProviderArn}, nil, func(t thing) error {
		p := t.(*oidcProvider)
		switch {
		case slices.Contains(p.Clients, *in.ClientID):
		case len(p.Clients) >= maxClients:
			return overQuota("ClientIdsPerOpenIdConnectProvider", maxClients)
		default:
			p.Clients = append(p.Clients, *in.ClientID)
		}
		return nil
	})
}

func (id *Identity) removeClientIDFromOpenIDConnectProvider(_ context.Context, c *call.Call, in *iam.RemoveClientIDFromOpenIDConnectProviderInput) (*iam.RemoveClientIDFromOpenIDConnectProviderOutput, error) {
	return &iam.RemoveClientIDFromOpenIDConnectProviderOutput{}, id.change(c, target{provider, *in.OpenIDConnectProviderArn}, nil, func(t thing) error {
		p := t.(*oidcProvider)
		p.Clients = slices.DeleteFunc(p.Clients, func(one string) bool { return one == *in.ClientID })
		return nil
	})
}

func (id *Identity) updateOpenIDConnectProviderThumbprint(_ context.Context, c *call.Call, in *iam.UpdateOpenIDConnectProviderThumbprintInput) (*iam.UpdateOpenIDConnectProviderThumbprintOutput, error) {
	return &iam.UpdateOpenIDConnectProviderThumbprintOutput{}, id.change(c, target{provider, *in.OpenIDConnectProviderArn}, nil, func(t thing) error {
		t.(*oidcProvider).Thumbprints = in.ThumbprintList
		return checkThumbprints(in.ThumbprintList)
	})
}
