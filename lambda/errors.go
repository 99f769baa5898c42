package lambda

import (
	"errors"
	"fmt"
	"time"
)

// Code is an error code of the Lambda API as it appears on the wire, in the
// x-amzn-ErrorType header. A Code is itself an error, so that
// errors.Is(err, lambda.ResourceNotFound) holds through any wrapping. HTTP
// statuses and the casing of the body belong to the frontend alone.
type Code string

// Error returns the code.
func (c Code) Error() string { return string(c) }

// Codes that the platform raises. The list follows the exceptions of the API
// model plus those AWS sends without modelling them.
const (
	Validation                  Code = "ValidationException"
	InvalidParameterValue       Code = "InvalidParameterValueException"
	InvalidRequestContent       Code = "InvalidRequestContentException"
	ResourceNotFound            Code = "ResourceNotFoundException"
	ResourceConflict            Code = "ResourceConflictException"
	ResourceInUse               Code = "ResourceInUseException"
	PreconditionFailed          Code = "PreconditionFailedException"
	RequestEntityTooLarge       Code = "RequestEntityTooLargeException"
	CodeStorageExceeded         Code = "CodeStorageExceededException"
	TooManyRequests             Code = "TooManyRequestsException"
	AccessDenied                Code = "AccessDeniedException"
	UnsupportedMediaType        Code = "UnsupportedMediaTypeException"
	PolicyLengthExceeded        Code = "PolicyLengthExceededException"
	CodeSigningConfigNotFound   Code = "CodeSigningConfigNotFoundException"
	ProvisionedConfigNotFound   Code = "ProvisionedConcurrencyConfigNotFoundException"
	UnknownOperation            Code = "UnknownOperationException"
	NotImplemented              Code = "NotImplementedException"
	Service                     Code = "ServiceException"
	InvalidRuntime              Code = "InvalidRuntimeException"
	InvalidZipFile              Code = "InvalidZipFileException"
	ResourceNotReady            Code = "ResourceNotReadyException"
	AliasLimitExceeded          Code = "AliasLimitExceededException"
	SnapStartNotReady           Code = "SnapStartNotReadyException"
	NoPublishedVersion          Code = "NoPublishedVersionException"
	ModeNotSupported            Code = "ModeNotSupportedException"
	RecursiveInvocation         Code = "RecursiveInvocationException"
	InvalidCodeSignature        Code = "InvalidCodeSignatureException"
	CodeVerificationFailed      Code = "CodeVerificationFailedException"
	ServiceQuotaExceeded        Code = "ServiceQuotaExceededException"
	DurableExecutionAlreadyOpen Code = "DurableExecutionAlreadyStartedException"
)

// Error is a refusal that a caller of the API is meant to read.
type Error struct {
	Code    Code
	Message string        // for the API's caller, in AWS's wording
	Reason  string        // AWS's finer reason, where the shape has one (throttles)
	After   time.Duration // Retry-After; zero for none
	Bare    bool          // the body carries no Type member, as AWS sends some refusals
	Err     error         // the cause: logged, never sent
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the code, the message and the cause.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives errors.Is and errors.As both the code and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// AsError finds the Error that err carries. An error without one is the
// platform's own trouble: it becomes a bare ServiceException whose cause is err.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: Service, Message: "An internal error occurred.", Err: err}
}
