package telegram

// sendWords are errors of sending in words for people. See
// core.telegram.org/method/messages.sendMedia.
var sendWords = map[string]string{
	"CHAT_WRITE_FORBIDDEN":         "the account may not write in this chat",
	"CHAT_SEND_MEDIA_FORBIDDEN":    "members may not send files to this chat",
	"CHAT_SEND_PHOTOS_FORBIDDEN":   "members may not send photos to this chat",
	"CHAT_SEND_VIDEOS_FORBIDDEN":   "members may not send videos to this chat",
	"CHAT_SEND_AUDIOS_FORBIDDEN":   "members may not send audio to this chat",
	"CHAT_SEND_VOICES_FORBIDDEN":   "members may not send voice messages to this chat",
	"CHAT_SEND_DOCS_FORBIDDEN":     "members may not send documents to this chat",
	"CHAT_ADMIN_REQUIRED":          "only administrators may do this in this chat",
	"CHAT_GUEST_SEND_FORBIDDEN":    "join the group first: only its members may write",
	"USER_BANNED_IN_CHANNEL":       "Telegram has restricted the account: it may not write in public groups and channels",
	"USER_IS_BLOCKED":              "they have blocked the account",
	"VOICE_MESSAGES_FORBIDDEN":     "they take no voice messages",
	"PRIVACY_PREMIUM_REQUIRED":     "they take messages from Premium accounts only",
	"ALLOW_PAYMENT_REQUIRED":       "writing there costs Telegram Stars, which haul does not spend",
	"TOPIC_CLOSED":                 "the topic is closed",
	"TOPIC_DELETED":                "the topic was deleted",
	"TOPIC_ID_INVALID":             "the message that is answered is not in that topic",
	"REPLY_MESSAGE_ID_INVALID":     "the message that is answered is not there",
	"REPLY_TO_INVALID":             "the message cannot be answered",
	"SCHEDULE_DATE_TOO_LATE":       "it is scheduled for more than a year ahead",
	"SCHEDULE_DATE_INVALID":        "the time that it is scheduled for is past",
	"SCHEDULE_TOO_MUCH":            "the chat has 100 scheduled messages already, which is all it takes",
	"SCHEDULE_BOT_NOT_ALLOWED":     "Telegram schedules nothing for bots",
	"SEND_AS_PEER_INVALID":         "the account may not send in that name in this chat",
	"MEDIA_CAPTION_TOO_LONG":       "the caption is too long for this account",
	"ENTITY_BOUNDS_INVALID":        "Telegram does not take the formatting of the caption",
	"PHOTO_INVALID_DIMENSIONS":     "Telegram does not take it as a photo: its sides are too long, or too unequal",
	"IMAGE_PROCESS_FAILED":         "Telegram cannot read the picture",
	"PHOTO_SAVE_FILE_INVALID":      "Telegram does not take it as a photo",
	"CHAT_FORWARDS_RESTRICTED":     "the chat it comes from protects its content",
	"SLOWMODE_MULTI_MSGS_DISABLED": "the chat is in slow mode, and takes no albums",
}

// A SendError is a message that the server refuses, for a reason that has words.
type SendError struct {
	Why string
	Err error // the *mtproto.RPCError
}

func (e *SendError) Error() string {
	rpc, _ := isRPC(e.Err)
	return e.Why + " (" + rpc.Type + ")"
}

// Unwrap returns the server's error.
func (e *SendError) Unwrap() error { return e.Err }
