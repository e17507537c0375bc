package lake

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
)

// Who asks for channels, dashboards and imports is told that there are none, in the words of AWS.
func TestWhatThereIsNot(t *testing.T) {
	h := open(t)
	id := "9a6f1a7e-1111-4222-8333-444455556666"
	if out := do[cloudtrail.ListChannelsOutput](h, alice, "ListChannels", &cloudtrail.ListChannelsInput{}); len(out.Channels) != 0 || out.Channels == nil {
		t.Errorf("channels: %v", out.Channels)
	}
	if out := do[cloudtrail.ListDashboardsOutput](h, alice, "ListDashboards", &cloudtrail.ListDashboardsInput{}); len(out.Dashboards) != 0 || out.Dashboards == nil {
		t.Errorf("dashboards: %v", out.Dashboards)
	}
	if out := do[cloudtrail.ListImportsOutput](h, alice, "ListImports", &cloudtrail.ListImportsInput{}); len(out.Imports) != 0 || out.Imports == nil {
		t.Errorf("imports: %v", out.Imports)
	}
	nobody := caller{account: alice.account, region: alice.region, policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`}
	for _, test := range []struct {
		code string
		who  caller
		op   string
		in   any
	}{
		{"InvalidNextTokenException", alice, "ListChannels", &cloudtrail.ListChannelsInput{NextToken: new("more")}},
		{"InvalidNextTokenException", alice, "ListDashboards", &cloudtrail.ListDashboardsInput{NextToken: new("more")}},
		{"InvalidNextTokenException", alice, "ListImports", &cloudtrail.ListImportsInput{NextToken: new("more")}},
		{"EventDataStoreARNInvalidException", alice, "ListImports", &cloudtrail.ListImportsInput{Destination: new("arn:aws:s3:::bucket")}},
		{"AccessDeniedException", nobody, "ListChannels", &cloudtrail.ListChannelsInput{}},
		{"AccessDeniedException", nobody, "GetImport", &cloudtrail.GetImportInput{ImportId: &id}},
		{"AccessDeniedException", nobody, "GetChannel", &cloudtrail.GetChannelInput{Channel: &id}},
		{"AccessDeniedException", nobody, "GetDashboard", &cloudtrail.GetDashboardInput{DashboardId: new("mine")}},
		{"ChannelNotFoundException", alice, "GetChannel", &cloudtrail.GetChannelInput{Channel: &id}},
		{"ChannelNotFoundException", alice, "GetChannel", &cloudtrail.GetChannelInput{Channel: new("arn:aws:cloudtrail:us-east-1:111122223333:channel/" + id)}},
		{"ChannelARNInvalidException", alice, "GetChannel", &cloudtrail.GetChannelInput{Channel: new("arn:aws:cloudtrail:us-east-1:111122223333:trail/" + id)}},
		{"ChannelARNInvalidException", alice, "UpdateChannel", &cloudtrail.UpdateChannelInput{Channel: new("mine")}},
		{"ChannelNotFoundException", alice, "DeleteChannel", &cloudtrail.DeleteChannelInput{Channel: &id}},
		{"ResourceNotFoundException", alice, "GetDashboard", &cloudtrail.GetDashboardInput{DashboardId: new("mine")}},
		{"ResourceNotFoundException", alice, "UpdateDashboard", &cloudtrail.UpdateDashboardInput{DashboardId: new("mine")}},
		{"ResourceNotFoundException", alice, "DeleteDashboard", &cloudtrail.DeleteDashboardInput{DashboardId: new("arn:aws:cloudtrail::111122223333:dashboard/mine")}},
		{"ResourceNotFoundException", alice, "StartDashboardRefresh", &cloudtrail.StartDashboardRefreshInput{DashboardId: new("mine")}},
		{"ImportNotFoundException", alice, "GetImport", &cloudtrail.GetImportInput{ImportId: &id}},
		{"ImportNotFoundException", alice, "StopImport", &cloudtrail.StopImportInput{ImportId: &id}},
		{"InvalidParameterException", alice, "ListImportFailures", &cloudtrail.ListImportFailuresInput{ImportId: &id}},
	} {
		h.refused(test.code, test.who, test.op, test.in)
	}
}
