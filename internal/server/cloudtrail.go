package server

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/call"
)

// cloudTrail is the CloudTrail API: trails with the event history, and event data stores. An operation that both have, which are those of
// tags, is done by the one whose resource is named.
func (s *Server) cloudTrail() call.Service {
	service := s.trail.Service()
	for _, ofStores := range s.lake.Operations() {
		i := slices.IndexFunc(service.Operations, func(op call.Operation) bool { return op.Name == ofStores.Name })
		if i < 0 {
			service.Operations = append(service.Operations, ofStores)
			continue
		}
		ofTrails := service.Operations[i].Do
		service.Operations[i].Do = func(ctx context.Context, c *call.Call, in any) (any, error) {
			if aboutStores(in) {
				return ofStores.Do(ctx, c, in)
			}
			return ofTrails(ctx, c, in)
		}
	}
	return service
}

// aboutStores says whether the resources that an operation of tags names are event data stores.
func aboutStores(in any) bool {
	isStore := func(id string) bool { return strings.Contains(id, ":eventdatastore/") }
	switch in := in.(type) {
	case *cloudtrail.AddTagsInput:
		return isStore(aws.ToString(in.ResourceId))
	case *cloudtrail.RemoveTagsInput:
		return isStore(aws.ToString(in.ResourceId))
	case *cloudtrail.ListTagsInput:
		return slices.ContainsFunc(in.ResourceIdList, isStore)
	}
	return false
}

// asksForData says whether a trail or an event data store of an account may take data events of a type of resources.
func (s *Server) asksForData(account, resourceType string) bool {
	return s.trail.AsksForData(account, resourceType) || s.lake.AsksForData(account, resourceType)
}
