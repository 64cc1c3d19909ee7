package telegram

import (
	"errors"
	"fmt"
	"strings"
)

// What a person must be told about a login. The server's *mtproto.RPCError is
// in the chain too. Waits are returned as they are: no login waits out a flood,
// since Telegram counts logins by the day.
var (
	// ErrAppID: the server does not take the app id and hash.
	ErrAppID = errors.New("telegram: the app id and hash are not accepted")
	// ErrPhoneInvalid: not a phone number.
	ErrPhoneInvalid = errors.New("telegram: not a phone number: give it in international form, with the country code")
	// ErrPhoneBanned: the number may not be used with Telegram.
	ErrPhoneBanned = errors.New("telegram: Telegram has banned this phone number")
	// ErrPhoneFlood: too many logins with the number.
	ErrPhoneFlood = errors.New("telegram: too many logins with this phone number, try again tomorrow")
	// ErrSignUp: there is no account with the number, and haul makes none.
	ErrSignUp = errors.New("telegram: there is no account with this phone number: create it with an official app")
	// ErrCodeInvalid: not the code that was sent.
	ErrCodeInvalid = errors.New("telegram: wrong code")
	// ErrCodeExpired: the code that was sent holds no more.
	ErrCodeExpired = errors.New("telegram: the code has expired")
	// ErrCodeUnavailable: the server has no other way to send a code.
	ErrCodeUnavailable = errors.New("telegram: the code cannot be sent in another way: use the one that was sent")
	// ErrCodeEarly: a code was sent too recently to ask for another.
	ErrCodeEarly = errors.New("telegram: too early for another code")
	// ErrCodePayment: the server wants a payment in an official app for a code.
	ErrCodePayment = errors.New("telegram: Telegram wants a payment for a code, which only official apps can make: sign in with a QR code")
	// ErrEmailRequired: the account needs an e-mail address for logins first.
	ErrEmailRequired = errors.New("telegram: the account needs a login e-mail first: set it up in an official app, or sign in with a QR code")
	// ErrEmailInvalid: not an e-mail address.
	ErrEmailInvalid = errors.New("telegram: not an e-mail address")
	// ErrEmailNotAllowed: the server takes no address of that kind.
	ErrEmailNotAllowed = errors.New("telegram: Telegram does not take this e-mail address: choose another one")
	// ErrResetPending: the login e-mail will be given up, but not yet.
	ErrResetPending = errors.New("telegram: the login e-mail will be given up later")
	// ErrPasswordWrong: not the two-step password.
	ErrPasswordWrong = errors.New("telegram: wrong password")
	// ErrTooOld: the server wants what this program does not know.
	ErrTooOld = errors.New("telegram: signing in needs a newer version of this program")
	// ErrOfficialOnly: the server wants a proof that only official apps can give.
	ErrOfficialOnly = errors.New("telegram: Telegram lets only official apps do this")
	// ErrLoginRestart: the server lost the login, more than once.
	ErrLoginRestart = errors.New("telegram: the server began the login anew too often, try again later")
)

// errPasswordNeeded: all is proven but the password.
var errPasswordNeeded = errors.New("telegram: the account has a two-step password")

// loginErrors are the errors of logins that a person is told of, by type.
var loginErrors = map[string]error{
	"API_ID_INVALID":                    ErrAppID,
	"API_ID_PUBLISHED_FLOOD":            ErrAppID,
	"PHONE_NUMBER_INVALID":              ErrPhoneInvalid,
	"PHONE_NUMBER_BANNED":               ErrPhoneBanned,
	"PHONE_NUMBER_FLOOD":                ErrPhoneFlood,
	"PHONE_PASSWORD_FLOOD":              ErrPhoneFlood,
	"PHONE_NUMBER_UNOCCUPIED":           ErrSignUp,
	"PHONE_NUMBER_APP_SIGNUP_FORBIDDEN": ErrSignUp,
	"PHONE_CODE_INVALID":                ErrCodeInvalid,
	"PHONE_CODE_EMPTY":                  ErrCodeInvalid,
	"CODE_INVALID":                      ErrCodeInvalid,
	"EMAIL_CODE_INVALID":                ErrCodeInvalid,
	"PHONE_CODE_EXPIRED":                ErrCodeExpired,
	"PHONE_CODE_HASH_EMPTY":             ErrCodeExpired,
	"EMAIL_VERIFY_EXPIRED":              ErrCodeExpired,
	"SEND_CODE_UNAVAILABLE":             ErrCodeUnavailable,
	"PHONE_HASH_EXPIRED":                ErrCodeExpired,
	"EMAIL_INVALID":                     ErrEmailInvalid,
	"EMAIL_NOT_ALLOWED":                 ErrEmailNotAllowed,
	"EMAIL_INSTALL_MISSING":             ErrEmailRequired,
	"SESSION_PASSWORD_NEEDED":           errPasswordNeeded,
	"PASSWORD_HASH_INVALID":             ErrPasswordWrong,
	"UPDATE_APP_TO_LOGIN":               ErrTooOld,
	"AUTH_RESTART":                      ErrLoginRestart,
	"AUTH_RESTART_X":                    ErrLoginRestart,
	"SIGN_IN_FAILED":                    ErrLoginRestart,
	"AUTH_TOKEN_EXPIRED":                ErrLoginRestart,
	"AUTH_TOKEN_INVALID":                ErrLoginRestart,
	"AUTH_TOKEN_INVALIDX":               ErrLoginRestart,
	"AUTH_TOKEN_ALREADY_ACCEPTED":       ErrLoginRestart,
	"FLOOD_TEST_PHONE_WAIT":             ErrPhoneFlood,
	"CONNECTION_API_ID_INVALID":         ErrAppID,
}

// loginError gives the server's errors their meaning in a login.
func loginError(doing string, err error) error {
	rpc, ok := isRPC(err)
	if !ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	known := loginErrors[rpc.Type]
	for _, prefix := range []string{"RECAPTCHA_CHECK_", "INTEGRITY_CHECK_", "APNS_VERIFY_CHECK_"} {
		if strings.HasPrefix(rpc.Type, prefix) {
			known = ErrOfficialOnly
		}
	}
	if known == nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%w: %w", known, err)
}
