package keylife

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// isChange says that a call that says nothing of being read-only is one that changes the key.
func isChange(operation string) bool {
	for _, prefix := range []string{"Describe", "Get", "List"} {
		if strings.HasPrefix(operation, prefix) {
			return false
		}
	}
	return true
}

// object is a JSON object of a record, whose members may be of any type whatever the documentation says.
type object map[string]any

func (o object) object(name string) object {
	m, _ := o[name].(map[string]any)
	return m
}

func (o object) list(name string) []any {
	l, _ := o[name].([]any)
	return l
}

// text is a member as text: numbers and truths too.
func (o object) text(name string) string {
	switch v := o[name].(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func (o object) truth(name string) bool { return o.text(name) == "true" }

func (o object) texts(name string) (all []string) {
	for _, v := range o.list(name) {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// changed is a change while it is made of a record.
type changed struct {
	Change
	request, response, more, service object
	policy                           *string // the policy that the key has from here on, if it is told
	standard                         bool    // it is the default policy, whose text the record has not
	grant                            string  // the id of the grant that is ended
}

// change notes a successful call, or a deed of KMS, that changed the key.
func (f *Fold) change(record []byte, name string, at time.Time, imported bool) {
	var r object
	if json.Unmarshal(record, &r) != nil {
		f.life.Records.Unreadable++
		return
	}
	o := &f.outline
	c := &changed{
		Change: Change{Time: at, EventID: string(o.EventID), Operation: name, From: r.text("sourceIPAddress"), Imported: imported, order: f.order,
			By: by(f.principal(string(o.CallerARN), string(o.Caller), string(o.PrincipalID), string(o.InvokedBy)), string(o.InvokedBy))},
		request: r.object("requestParameters"), response: r.object("responseElements"),
		more: r.object("additionalEventData"), service: r.object("serviceEventDetails"),
	}
	if len(o.CallerARN) == 0 && len(o.PrincipalID) == 0 && len(o.InvokedBy) > 0 {
		c.By = string(o.InvokedBy)
	}
	if c.From == c.By {
		c.From = ""
	}
	if tell, ok := changes[name]; ok {
		tell(f, c)
	} else {
		c.What = name
	}
	f.keep(c)
}

// changes say what each operation does to a key.
var changes = map[string]func(*Fold, *changed){
	"CreateKey":                 (*Fold).created,
	"PutKeyPolicy":              (*Fold).policyPut,
	"CreateGrant":               (*Fold).grantCreated,
	"RetireGrant":               (*Fold).grantEnded,
	"RevokeGrant":               (*Fold).grantEnded,
	"CreateAlias":               (*Fold).aliasSet,
	"UpdateAlias":               (*Fold).aliasSet,
	"DeleteAlias":               (*Fold).aliasDeleted,
	"TagResource":               (*Fold).tagged,
	"UntagResource":             (*Fold).untagged,
	"UpdateKeyDescription":      (*Fold).described,
	"EnableKey":                 (*Fold).enabled,
	"DisableKey":                (*Fold).disabled,
	"EnableKeyRotation":         (*Fold).rotationEnabled,
	"DisableKeyRotation":        (*Fold).rotationDisabled,
	"RotateKeyOnDemand":         (*Fold).rotationAsked,
	"RotateKey":                 (*Fold).rotated,
	"ImportKeyMaterial":         (*Fold).materialImported,
	"DeleteImportedKeyMaterial": (*Fold).materialDeleted,
	"DeleteExpiredKeyMaterial":  (*Fold).materialExpired,
	"ReplicateKey":              (*Fold).replicated,
	"UpdatePrimaryRegion":       (*Fold).primaryMoved,
	"SynchronizeMultiRegionKey": (*Fold).synchronized,
	"ScheduleKeyDeletion":       (*Fold).deletionScheduled,
	"CancelKeyDeletion":         (*Fold).deletionCancelled,
	"DeleteKey":                 (*Fold).deleted,
}

func (c *changed) detail(format string, args ...any) {
	c.Details = append(c.Details, fmt.Sprintf(format, args...))
}

// detailOf adds what a member says, if it says anything.
func (c *changed) detailOf(label, value string) {
	if value != "" {
		c.detail("%s: %s", label, value)
	}
}

func (f *Fold) created(c *changed) {
	key := c.response.object("keyMetadata")
	c.What = "created"
	spec := cmp.Or(key.text("keySpec"), key.text("customerMasterKeySpec"), c.request.text("keySpec"), c.request.text("customerMasterKeySpec"))
	usage := cmp.Or(key.text("keyUsage"), c.request.text("keyUsage"))
	origin := cmp.Or(key.text("origin"), c.request.text("origin"))
	description := cmp.Or(key.text("description"), c.request.text("description"))
	store := cmp.Or(key.text("customKeyStoreId"), c.request.text("customKeyStoreId"))
	if is := strings.Join(slices.DeleteFunc([]string{spec, usage}, func(s string) bool { return s == "" }), ", "); is != "" {
		c.What += ", " + is
	}
	c.detailOf("origin of the material", origin)
	c.detailOf("description", description)
	c.detailOf("custom key store", store)
	multi := key.object("multiRegionConfiguration")
	kind, primary := multi.text("multiRegionKeyType"), multi.object("primaryKey").text("region")
	if kind == "" && (key.truth("multiRegion") || c.request.truth("multiRegion")) {
		kind = "PRIMARY"
	}
	switch kind {
	case "PRIMARY":
		primary = f.life.Region
		c.detail("multi-Region: it is the primary key")
	case "REPLICA":
		c.detail("multi-Region: it is a replica of the key in %s", cmp.Or(primary, "another Region"))
	}
	tags := tagsOf(c.request.list("tags"))
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		c.detail("tag: %s = %s", name, tags[name])
	}
	if text, ok := c.request["policy"].(string); ok && text != "" {
		c.policy = &text
	} else if kind != "REPLICA" && c.request != nil {
		c.standard = true
	}
	manager := key.text("keyManager")
	state := cmp.Or(key.text("keyState"), "Enabled")
	if state == "Creating" {
		state = "Enabled"
	}
	by, at := c.By, c.Time
	c.apply = func(s *State) {
		s.Spec, s.Usage, s.Origin, s.Description, s.KeyStore, s.Manager = spec, usage, origin, description, store, manager
		s.State, s.MultiRegion, s.Primary = state, kind, primary
		s.Created, s.CreatedBy = &at, by
		maps.Copy(s.Tags, tags)
		if kind == "REPLICA" {
			s.relate(primary)
		}
	}
}

func tagsOf(list []any) map[string]string {
	tags := map[string]string{}
	for _, v := range list {
		m, _ := v.(map[string]any)
		if tag := object(m); tag.text("tagKey") != "" {
			tags[tag.text("tagKey")] = tag.text("tagValue")
		}
	}
	return tags
}

func (f *Fold) policyPut(c *changed) {
	c.What = "key policy replaced"
	if text, ok := c.request["policy"].(string); ok {
		c.policy = &text
	}
	if c.request.truth("bypassPolicyLockoutSafetyCheck") {
		c.detail("the check that the policy locks nobody out was bypassed")
	}
}

func (f *Fold) aliasSet(c *changed) {
	name, target := c.request.text("aliasName"), c.request.text("targetKeyId")
	ours := target == "" || target == f.life.Key || target == f.id
	if ours && len(f.aliases) < MaxContexts {
		f.aliases[name] = true
	}
	verb := "created"
	if c.Operation == "UpdateAlias" {
		verb = "pointed here"
	}
	c.What = name + " " + verb
	if !ours {
		c.What = name + " pointed to another key"
		c.detail("%s", target)
	}
	c.apply = func(s *State) {
		s.Aliases = slices.DeleteFunc(s.Aliases, func(have string) bool { return have == name })
		if ours {
			s.Aliases = append(s.Aliases, name)
		}
	}
}

func (f *Fold) aliasDeleted(c *changed) {
	name := c.request.text("aliasName")
	if len(f.aliases) < MaxContexts {
		f.aliases[name] = true
	}
	c.What = name + " deleted"
	c.apply = func(s *State) {
		s.Aliases = slices.DeleteFunc(s.Aliases, func(have string) bool { return have == name })
	}
}

func (f *Fold) tagged(c *changed) {
	tags := tagsOf(c.request.list("tags"))
	c.What = "tagged"
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		c.detail("+ %s = %s", name, tags[name])
	}
	c.apply = func(s *State) { maps.Copy(s.Tags, tags) }
}

func (f *Fold) untagged(c *changed) {
	names := c.request.texts("tagKeys")
	c.What = "tags removed"
	for _, name := range names {
		c.detail("- %s", name)
	}
	c.apply = func(s *State) {
		for _, name := range names {
			delete(s.Tags, name)
		}
	}
}

func (f *Fold) described(c *changed) {
	text := c.request.text("description")
	c.What = "description changed"
	c.detailOf("to", text)
	c.apply = func(s *State) { s.Description = text }
}

func (f *Fold) enabled(c *changed) {
	c.What = "enabled"
	c.apply = func(s *State) { s.State = "Enabled" }
}

func (f *Fold) disabled(c *changed) {
	c.What = "disabled"
	c.apply = func(s *State) { s.State = "Disabled" }
}

func (f *Fold) rotationEnabled(c *changed) {
	every := cmp.Or(c.request.text("rotationPeriodInDays"), "365")
	c.What = "automatic rotation enabled, every " + every + " days"
	c.apply = func(s *State) { s.Rotation = "on, every " + every + " days" }
}

func (f *Fold) rotationDisabled(c *changed) {
	c.What = "automatic rotation disabled"
	c.apply = func(s *State) { s.Rotation = "off" }
}

func (f *Fold) rotationAsked(c *changed) { c.What = "rotation on demand asked for" }

func (f *Fold) rotated(c *changed) {
	c.What = "rotated"
	switch kind := c.service.text("rotationType"); kind {
	case "AUTOMATIC":
		c.What = "rotated automatically"
	case "ON_DEMAND":
		c.What = "rotated on demand"
	default:
		c.detailOf("type", kind)
	}
	c.detailOf("material before", c.service.text("previousKeyMaterialId"))
	c.detailOf("material now", c.service.text("currentKeyMaterialId"))
	c.apply = func(s *State) { s.Rotations++ }
}

// material is the id of the key material that a record is about.
func (c *changed) material() string {
	return cmp.Or(c.response.text("keyMaterialId"), c.request.text("keyMaterialId"), c.service.text("keyMaterialId"), c.more.text("keyMaterialId"))
}

func (f *Fold) materialImported(c *changed) {
	c.What = "key material imported"
	switch c.request.text("expirationModel") {
	case "KEY_MATERIAL_EXPIRES":
		c.What += ", expires " + cmp.Or(c.request.text("validTo"), "at a time that is not on record")
	case "KEY_MATERIAL_DOES_NOT_EXPIRE":
		c.What += ", does not expire"
	}
	c.detailOf("import type", c.request.text("importType"))
	c.detailOf("description of the material", c.request.text("keyMaterialDescription"))
	c.detailOf("material", c.material())
	c.apply = func(s *State) {
		if s.State == "PendingImport" {
			s.State = "Enabled"
		}
	}
}

func (f *Fold) materialDeleted(c *changed) {
	c.What = "imported key material deleted"
	c.detailOf("material", c.material())
	c.apply = withoutMaterial
}

func (f *Fold) materialExpired(c *changed) {
	c.What = "imported key material expired and was deleted"
	c.detailOf("material", c.material())
	c.apply = withoutMaterial
}

func withoutMaterial(s *State) {
	if s.State == "Enabled" || s.State == "Disabled" || s.State == "" {
		s.State = "PendingImport"
	}
}

// relate notes that there is a related key in another Region.
func (s *State) relate(region string) {
	if region != "" && !slices.Contains(s.Regions, region) {
		s.Regions = append(s.Regions, region)
		slices.Sort(s.Regions)
	}
}

func (f *Fold) replicated(c *changed) {
	region := c.request.text("replicaRegion")
	c.What = "replicated to " + region
	here := f.life.Region
	if region == here { // the record of the primary's Region, seen from the replica
		c.What = "replicated to here"
		region = ""
	} else {
		c.apply = func(s *State) {
			s.MultiRegion, s.Primary = "PRIMARY", here
			s.relate(region)
		}
	}
	c.detailOf("replica", c.response.object("replicaKeyMetadata").text("arn"))
	c.detailOf("description", c.request.text("description"))
	if text := c.response.text("replicaPolicy"); text != "" {
		c.detail("policy of the replica:")
		for _, line := range statementLines(text) {
			c.detail("  %s", line)
		}
	}
}

func (f *Fold) primaryMoved(c *changed) {
	to, here := c.request.text("primaryRegion"), f.life.Region
	c.What = "the primary key is now that in " + to
	c.apply = func(s *State) {
		s.relate(s.Primary)
		s.Primary, s.MultiRegion = to, "REPLICA"
		if to == here {
			s.MultiRegion = "PRIMARY"
		}
		s.relate(to)
		s.Regions = slices.DeleteFunc(s.Regions, func(r string) bool { return r == here })
	}
}

func (f *Fold) synchronized(c *changed) {
	c.What = "shared properties synchronized between Regions"
	c.apply = func(s *State) { s.MultiRegion = cmp.Or(s.MultiRegion, "PRIMARY") }
}

func (f *Fold) deletionScheduled(c *changed) {
	date := c.response.text("deletionDate")
	days := cmp.Or(c.response.text("pendingWindowInDays"), c.request.text("pendingWindowInDays"), "30")
	state := cmp.Or(c.response.text("keyState"), "PendingDeletion")
	switch {
	case date != "":
		c.What = "deletion scheduled for " + date
	case state == "PendingReplicaDeletion":
		c.What = "deletion scheduled, " + days + " days after its last replica is deleted"
	default:
		c.What = "deletion scheduled, after " + days + " days"
	}
	if date != "" {
		c.detail("waiting period: %s days", days)
	}
	c.apply = func(s *State) { s.State, s.DeletionDate = state, date }
}

func (f *Fold) deletionCancelled(c *changed) {
	c.What = "deletion cancelled; the key is disabled"
	c.apply = func(s *State) { s.State, s.DeletionDate = "Disabled", "" }
}

func (f *Fold) deleted(c *changed) {
	c.What = "deleted"
	var backing []struct{ BackingKeyID, DeletionStatus string }
	if text := c.more.text("backingKeysDeletionStatus"); json.Unmarshal([]byte(text), &backing) != nil {
		c.detailOf("backing keys", text)
	}
	for _, k := range backing {
		c.detail("deletion of the backing key %s: %s", k.BackingKeyID, k.DeletionStatus)
	}
	c.apply = func(s *State) { s.State, s.DeletionDate = "Deleted", "" }
}
