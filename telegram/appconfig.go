package telegram

import (
	"context"
	"fmt"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// appConfig is what the server says to all clients.
// See core.telegram.org/api/config#client-configuration.
func appConfig(ctx context.Context, inv mtproto.Invoker) ([]api.JsonObjectValue, error) {
	answer, err := mtproto.Call(ctx, inv, &api.HelpGetAppConfigRequest{})
	if err != nil {
		return nil, err
	}
	config, ok := answer.(*api.HelpAppConfig)
	if !ok {
		return nil, fmt.Errorf("%w: %s", mtproto.ErrBadAnswer, answer.TypeName())
	}
	fields, ok := config.Config.(*api.JsonObject)
	if !ok {
		return nil, fmt.Errorf("%w: no object", mtproto.ErrBadAnswer)
	}
	return fields.Value, nil
}

// maxUploadParts is the greatest number of parts that is believed.
const maxUploadParts = 100_000

// UploadParts is how many parts of 512 KiB a file may have that the account sends,
// as the server says; 0: it does not say. See core.telegram.org/api/files.
func (c *Client) UploadParts(ctx context.Context) (int, error) {
	fields, err := appConfig(ctx, c)
	if err != nil {
		return 0, fmt.Errorf("ask for the limits of uploads: %w", err)
	}
	want := "upload_max_fileparts_default"
	if u := c.User(); u != nil && u.Premium {
		want = "upload_max_fileparts_premium"
	}
	for _, f := range fields {
		if v, ok := f.Value.(*api.JsonNumber); ok && f.Key == want && v.Value >= 1 && v.Value <= maxUploadParts {
			return int(v.Value), nil
		}
	}
	return 0, nil
}
