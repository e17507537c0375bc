package lake

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/google/uuid"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
)

// There are no channels, no dashboards and no imports by CloudTrail itself, as none can be made. So their lists are empty, and who names one is
// told that there is none, as in AWS.

// noneOf answers a list, which is empty.
func noneOf(c *call.Call, token *string) error {
	if err := allowAll(c); err != nil {
		return err
	}
	_, err := readToken(c, token, "")
	return err
}

// ListChannels lists no channels.
func (l *Lake) ListChannels(_ context.Context, c *call.Call, in *cloudtrail.ListChannelsInput) (*cloudtrail.ListChannelsOutput, error) {
	return &cloudtrail.ListChannelsOutput{Channels: []types.Channel{}}, noneOf(c, in.NextToken)
}

// ListDashboards lists no dashboards, custom ones or managed ones.
func (l *Lake) ListDashboards(_ context.Context, c *call.Call, in *cloudtrail.ListDashboardsInput) (*cloudtrail.ListDashboardsOutput, error) {
	return &cloudtrail.ListDashboardsOutput{Dashboards: []types.DashboardDetail{}}, noneOf(c, in.NextToken)
}

// ListImports lists no imports. A Destination has to have the form of the ARN of an event data store.
func (l *Lake) ListImports(_ context.Context, c *call.Call, in *cloudtrail.ListImportsInput) (*cloudtrail.ListImportsOutput, error) {
	if in.Destination != nil {
		if _, err := storeName(c, *in.Destination); err != nil {
			return nil, err
		}
	}
	return &cloudtrail.ListImportsOutput{Imports: []types.ImportsListItem{}}, noneOf(c, in.NextToken)
}

// GetChannel finds none: ChannelARNInvalidException, ChannelNotFoundException.
func (l *Lake) GetChannel(_ context.Context, c *call.Call, in *cloudtrail.GetChannelInput) (*cloudtrail.GetChannelOutput, error) {
	return nil, noChannel(c, in.Channel)
}

// UpdateChannel finds none: ChannelARNInvalidException, ChannelNotFoundException.
func (l *Lake) UpdateChannel(_ context.Context, c *call.Call, in *cloudtrail.UpdateChannelInput) (*cloudtrail.UpdateChannelOutput, error) {
	return nil, noChannel(c, in.Channel)
}

// DeleteChannel finds none: ChannelARNInvalidException, ChannelNotFoundException.
func (l *Lake) DeleteChannel(_ context.Context, c *call.Call, in *cloudtrail.DeleteChannelInput) (*cloudtrail.DeleteChannelOutput, error) {
	return nil, noChannel(c, in.Channel)
}

// noChannel is why a channel, named by its ARN or its id, is not there.
func noChannel(c *call.Call, named *string) error {
	name := aws.ToString(named)
	if !strings.HasPrefix(name, "arn:") {
		name = arn.New("cloudtrail", c.Region, c.Account(), "channel/"+name).String()
	}
	a, err := arn.Parse(name)
	if err != nil || a.Service != "cloudtrail" || a.Type() != "channel" || uuid.Validate(a.ID()) != nil {
		return call.Errorf("ChannelARNInvalidException", "The channel %s is neither the ARN nor the ID of a channel.", aws.ToString(named))
	}
	if err := c.Allow("cloudtrail:"+c.Operation, policy.Resource{ARN: name, Account: a.Account}, nil); err != nil {
		return err
	}
	return call.Errorf("ChannelNotFoundException", "The channel %s could not be found.", name)
}

// GetDashboard finds none: ResourceNotFoundException.
func (l *Lake) GetDashboard(_ context.Context, c *call.Call, in *cloudtrail.GetDashboardInput) (*cloudtrail.GetDashboardOutput, error) {
	return nil, noDashboard(c, in.DashboardId)
}

// UpdateDashboard finds none: ResourceNotFoundException.
func (l *Lake) UpdateDashboard(_ context.Context, c *call.Call, in *cloudtrail.UpdateDashboardInput) (*cloudtrail.UpdateDashboardOutput, error) {
	return nil, noDashboard(c, in.DashboardId)
}

// DeleteDashboard finds none: ResourceNotFoundException.
func (l *Lake) DeleteDashboard(_ context.Context, c *call.Call, in *cloudtrail.DeleteDashboardInput) (*cloudtrail.DeleteDashboardOutput, error) {
	return nil, noDashboard(c, in.DashboardId)
}

// StartDashboardRefresh finds none: ResourceNotFoundException.
func (l *Lake) StartDashboardRefresh(_ context.Context, c *call.Call, in *cloudtrail.StartDashboardRefreshInput) (*cloudtrail.StartDashboardRefreshOutput, error) {
	return nil, noDashboard(c, in.DashboardId)
}

// noDashboard is why a dashboard, named by its ARN or its name, is not there.
func noDashboard(c *call.Call, named *string) error {
	name, account := aws.ToString(named), c.Account()
	if a, err := arn.Parse(name); err == nil {
		account = a.Account
	} else {
		name = arn.New("cloudtrail", "", account, "dashboard/"+name).String() // as the service authorization reference has it, without a region
	}
	if err := c.Allow("cloudtrail:"+c.Operation, policy.Resource{ARN: name, Account: account}, nil); err != nil {
		return err
	}
	return noResource(name)
}

// GetImport finds none: ImportNotFoundException.
func (l *Lake) GetImport(_ context.Context, c *call.Call, in *cloudtrail.GetImportInput) (*cloudtrail.GetImportOutput, error) {
	return nil, noImport(c, in.ImportId)
}

// StopImport finds none: ImportNotFoundException.
func (l *Lake) StopImport(_ context.Context, c *call.Call, in *cloudtrail.StopImportInput) (*cloudtrail.StopImportOutput, error) {
	return nil, noImport(c, in.ImportId)
}

// ListImportFailures finds no import, for which it has no error but InvalidParameterException.
func (l *Lake) ListImportFailures(_ context.Context, c *call.Call, in *cloudtrail.ListImportFailuresInput) (*cloudtrail.ListImportFailuresOutput, error) {
	if err := noneOf(c, in.NextToken); err != nil {
		return nil, err
	}
	return nil, call.Errorf("InvalidParameterException", "There is no import with ImportId %s.", aws.ToString(in.ImportId))
}

func noImport(c *call.Call, id *string) error {
	if err := allowAll(c); err != nil {
		return err
	}
	return call.Errorf("ImportNotFoundException", "The import %s could not be found.", aws.ToString(id))
}
