package objects

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/xml"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"vigil/internal/call"
)

// The operations of uploads in parts. See the S3 user guide's "Uploading and copying objects using multipart upload".

type begunUpload struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
	Bucket, Key, UploadId string
}

func (o *Objects) createUpload(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:PutObject", in.Bucket, in.Key, nil)
	if err != nil {
		return nil, err
	}
	m, err := metadataOf(in.Header)
	if err != nil {
		return nil, err
	}
	if m.ChecksumAlgorithm = strings.ToUpper(in.Header.Get("X-Amz-Checksum-Algorithm")); m.ChecksumAlgorithm != "" {
		if m.ChecksumType, err = checksumType(m.ChecksumAlgorithm, in.Header.Get("X-Amz-Checksum-Type")); err != nil {
			return nil, err
		}
	}
	end, err := b.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	id, err := o.store.CreateUpload(ctx, b.name, Info{Key: in.Key, Metadata: m})
	if err != nil {
		return nil, err
	}
	h := http.Header{}
	if m.ChecksumAlgorithm != "" {
		h["x-amz-checksum-algorithm"], h["x-amz-checksum-type"] = []string{m.ChecksumAlgorithm}, []string{m.ChecksumType}
	}
	return &call.RESTAnswer{Header: h, XML: begunUpload{Bucket: b.name, Key: in.Key, UploadId: id}}, nil
}

// checksumType is whether the checksum of the whole will be one of the contents or one of the parts' checksums.
func checksumType(algorithm, asked string) (string, error) {
	if algorithms[algorithm] == nil {
		return "", call.Errorf("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	}
	if asked == "" {
		asked = "COMPOSITE"
		if algorithm == "CRC64NVME" {
			asked = "FULL_OBJECT"
		}
	}
	crc := strings.HasPrefix(algorithm, "CRC")
	if asked == "FULL_OBJECT" && !crc || asked == "COMPOSITE" && algorithm == "CRC64NVME" || asked != "FULL_OBJECT" && asked != "COMPOSITE" {
		return "", call.Errorf("InvalidRequest", "The %s checksum type cannot be used with the %s checksum algorithm.", clip(asked), strings.ToLower(algorithm))
	}
	return asked, nil
}

// uploadOf finds the upload that a request names, which must be one of its key.
func (o *Objects) uploadOf(ctx context.Context, in *call.RESTRequest) (id string, info Info, err error) {
	id = in.Query.Get("uploadId")
	info, err = o.store.Upload(ctx, in.Bucket, id)
	if err == nil && info.Key != in.Key {
		err = ErrNotFound
	}
	return id, info, notFound(err, errNoSuchUpload)
}

func (o *Objects) uploadPart(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:PutObject", in.Bucket, in.Key, nil)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(in.Query.Get("partNumber"))
	if err != nil || number < 1 || number > maxParts {
		return nil, errArgument("Part number must be an integer between 1 and 10000, inclusive")
	}
	if err := checkLength(in); err != nil {
		return nil, err
	}
	id, upload, err := o.uploadOf(ctx, in)
	if err != nil {
		return nil, err
	}
	whole, err := expect(in, upload.ChecksumAlgorithm)
	if err != nil {
		return nil, err
	}
	if upload.ChecksumAlgorithm != "" && whole.algorithm != upload.ChecksumAlgorithm {
		return nil, call.Errorf("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
			strings.ToLower(upload.ChecksumAlgorithm), strings.ToLower(whole.algorithm))
	}
	end, err := b.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	part, err := o.store.PutPart(ctx, b.name, id, number, whole.body(maxPut), func(p *Part) error {
		sum, err := whole.check()
		if sum != "" {
			p.Checksum, p.ChecksumAlgorithm = sum, whole.algorithm
		}
		return err
	})
	if err != nil {
		return nil, notFound(err, errNoSuchUpload)
	}
	h := http.Header{"ETag": {`"` + part.ETag + `"`}}
	writeChecksum(h, part.ChecksumAlgorithm, part.Checksum, "")
	return &call.RESTAnswer{Header: h}, nil
}

type completion struct {
	Part []completedPart
}

type completedPart struct {
	PartNumber                                                                     int
	ETag                                                                           string
	ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 string
}

// checksum is what the client says the part's checksum is, or empty.
func (p completedPart) checksum(algorithm string) string {
	return map[string]string{"CRC32": p.ChecksumCRC32, "CRC32C": p.ChecksumCRC32C, "CRC64NVME": p.ChecksumCRC64NVME,
		"SHA1": p.ChecksumSHA1, "SHA256": p.ChecksumSHA256}[algorithm]
}

type completed struct {
	XMLName                     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
	Location, Bucket, Key, ETag string
	ChecksumCRC32               string `xml:",omitempty"`
	ChecksumCRC32C              string `xml:",omitempty"`
	ChecksumCRC64NVME           string `xml:",omitempty"`
	ChecksumSHA1                string `xml:",omitempty"`
	ChecksumSHA256              string `xml:",omitempty"`
	ChecksumType                string `xml:",omitempty"`
}

func (o *Objects) completeUpload(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:PutObject", in.Bucket, in.Key, nil)
	if err != nil {
		return nil, err
	}
	id, upload, err := o.uploadOf(ctx, in)
	if err != nil {
		return nil, err
	}
	var asked completion
	if err := readDocument(in, &asked); err != nil {
		return nil, err
	}
	stored, err := o.store.Parts(ctx, b.name, id)
	if err != nil {
		return nil, notFound(err, errNoSuchUpload)
	}
	parts, err := chosenParts(asked.Part, stored)
	if err != nil {
		return nil, err
	}
	through, sum := io.Writer(io.Discard), hash.Hash(nil)
	switch upload.ChecksumType {
	case "FULL_OBJECT":
		sum = algorithms[upload.ChecksumAlgorithm]()
		through = sum
	case "COMPOSITE":
		if upload.Checksum = ofParts(upload.ChecksumAlgorithm, parts); upload.Checksum == "" {
			upload.ChecksumAlgorithm, upload.ChecksumType = "", ""
		}
	}
	if said := in.Header.Get("X-Amz-Mp-Object-Size"); said != "" && said != strconv.FormatInt(sizeOf(parts), 10) {
		return nil, call.Errorf("InvalidRequest", "The object size that x-amz-mp-object-size says does not match that of the parts.")
	}
	upload.Conditions = conditionsOf(in.Header)
	end, err := b.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	info, err := o.store.Complete(ctx, b.name, id, upload, parts, through, func(next, present *Info) error {
		if sum != nil {
			next.Checksum = base64.StdEncoding.EncodeToString(sum.Sum(nil))
		}
		said := in.Header.Get(checksumHeader + next.ChecksumAlgorithm)
		if said != "" && next.Checksum != "" && strings.TrimSuffix(said, "-"+strconv.Itoa(len(parts))) != strings.TrimSuffix(next.Checksum, "-"+strconv.Itoa(len(parts))) {
			return call.Errorf("BadDigest", "The %s you specified did not match the calculated checksum.", next.ChecksumAlgorithm)
		}
		return mayReplace(in.Header, present)
	})
	if err != nil {
		return nil, notFound(err, errNoSuchUpload)
	}
	out := completed{Location: "http://" + in.Host + "/" + b.name + "/" + encodeURL(in.Key), Bucket: b.name, Key: in.Key, ETag: `"` + info.ETag + `"`, ChecksumType: info.ChecksumType}
	switch info.ChecksumAlgorithm {
	case "CRC32":
		out.ChecksumCRC32 = info.Checksum
	case "CRC32C":
		out.ChecksumCRC32C = info.Checksum
	case "CRC64NVME":
		out.ChecksumCRC64NVME = info.Checksum
	case "SHA1":
		out.ChecksumSHA1 = info.Checksum
	case "SHA256":
		out.ChecksumSHA256 = info.Checksum
	}
	return &call.RESTAnswer{XML: out}, nil
}

// chosenParts are the parts of which the client wants an object, in its order, which must be theirs.
func chosenParts(asked []completedPart, stored []Part) ([]Part, error) {
	if len(asked) == 0 {
		return nil, errMalformedXML
	}
	byNumber := map[int]Part{}
	for _, part := range stored {
		byNumber[part.Number] = part
	}
	if !slices.IsSortedFunc(asked, func(a, b completedPart) int { return cmp.Compare(a.PartNumber, b.PartNumber) }) {
		return nil, call.Errorf("InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
	}
	chosen := make([]Part, len(asked))
	for i, a := range asked {
		part, ok := byNumber[a.PartNumber]
		said := a.checksum(part.ChecksumAlgorithm)
		if twice := i > 0 && a.PartNumber == asked[i-1].PartNumber; twice || !ok || strings.Trim(a.ETag, `"`) != part.ETag || said != "" && said != part.Checksum {
			return nil, call.Errorf("InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
		}
		if i < len(asked)-1 && part.Size < minPart {
			return nil, call.Errorf("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		}
		chosen[i] = part
	}
	if sizeOf(chosen) > maxObject {
		return nil, errTooLarge
	}
	return chosen, nil
}

func sizeOf(parts []Part) (total int64) {
	for _, part := range parts {
		total += part.Size
	}
	return total
}

func (o *Objects) abortUpload(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:AbortMultipartUpload", in.Bucket, in.Key, nil)
	if err != nil {
		return nil, err
	}
	id, _, err := o.uploadOf(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := o.store.Abort(ctx, b.name, id); err != nil {
		return nil, notFound(err, errNoSuchUpload)
	}
	return &call.RESTAnswer{Status: http.StatusNoContent}, nil
}

type listedParts struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
	Bucket, Key, UploadId string
	PartNumberMarker      int
	NextPartNumberMarker  int
	MaxParts              int
	IsTruncated           bool
	Part                  []listedPart
	Initiator, Owner      owner
	StorageClass          string
}

type listedPart struct {
	PartNumber         int
	LastModified, ETag string
	Size               int64
}

func (o *Objects) listParts(ctx context.Context, c *call.Call, in *call.RESTRequest) (*call.RESTAnswer, error) {
	b, err := o.allow(c, "s3:ListMultipartUploadParts", in.Bucket, in.Key, nil)
	if err != nil {
		return nil, err
	}
	id, _, err := o.uploadOf(ctx, in)
	if err != nil {
		return nil, err
	}
	stored, err := o.store.Parts(ctx, b.name, id)
	if err != nil {
		return nil, notFound(err, errNoSuchUpload)
	}
	out := listedParts{Bucket: b.name, Key: in.Key, UploadId: id, MaxParts: maxKeys, StorageClass: "STANDARD",
		Initiator: ownerOf(b.account), Owner: ownerOf(b.account)}
	if text := in.Query.Get("max-parts"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, errArgument("Argument max-parts must be an integer between 1 and 2147483647")
		}
		out.MaxParts = min(n, maxKeys)
	}
	if text := in.Query.Get("part-number-marker"); text != "" {
		if out.PartNumberMarker, err = strconv.Atoi(text); err != nil {
			return nil, errArgument("Argument part-number-marker must be an integer")
		}
	}
	for _, p := range stored {
		if p.Number <= out.PartNumberMarker {
			continue
		}
		if len(out.Part) == out.MaxParts {
			out.IsTruncated = true
			break
		}
		out.Part = append(out.Part, listedPart{p.Number, p.Modified.Format(timeLayout), `"` + p.ETag + `"`, p.Size})
		out.NextPartNumberMarker = p.Number
	}
	return &call.RESTAnswer{XML: out}, nil
}
