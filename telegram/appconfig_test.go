package telegram

import (
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// What the server says of uploads is taken for true if it makes sense.
func TestUploadParts(t *testing.T) {
	for _, c := range []struct {
		value api.JSONValueClass
		want  int
	}{
		{&api.JsonNumber{Value: 4000}, 4000},
		{&api.JsonNumber{Value: 0}, 0},
		{&api.JsonNumber{Value: -1}, 0},
		{&api.JsonNumber{Value: 1e9}, 0},
		{&api.JsonString{Value: "4000"}, 0},
	} {
		f := &fakeTelegram{answer: func(k fakeCall) (tl.Object, error) {
			if _, ok := k.q.(*api.HelpGetAppConfigRequest); ok {
				return &api.HelpAppConfig{Hash: 1, Config: &api.JsonObject{Value: []api.JsonObjectValue{
					{Key: "upload_max_fileparts_premium", Value: &api.JsonNumber{Value: 8000}}, {Key: "upload_max_fileparts_default", Value: c.value},
				}}}, nil
			}
			return nil, nil
		}}
		client := fakeClient(t, f, nil)
		if got, err := client.UploadParts(t.Context()); err != nil || got != c.want {
			t.Errorf("%+v: UploadParts = %d, %v; want %d", c.value, got, err, c.want)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
