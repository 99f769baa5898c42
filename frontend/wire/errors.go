package wire

import (
	"math"
	"net/http"
	"strconv"

	"github.com/lambent-run/lambent/lambda"
)

// answer is how an error code looks in a response.
type answer struct {
	status  int
	message string // the member's name: AWS writes it with either case
	bare    bool   // never a Type
}

// answers is the one table of errors. It holds every exception of the API's
// model, and those that AWS sends without modelling them.
var answers = map[lambda.Code]answer{
	// Not in the model.
	lambda.Validation:            {400, "message", true},
	serialization:                {400, "Message", true},
	lambda.AccessDenied:          {403, "Message", true},
	lambda.UnknownOperation:      {404, "Message", true},
	lambda.RequestEntityTooLarge: {413, "message", true},
	lambda.NotImplemented:        {501, "message", false},

	"AliasLimitExceededException":                               {400, "message", false},
	"CallbackTimeoutException":                                  {400, "Message", false},
	"CapacityProviderLimitExceededException":                    {400, "message", false},
	"CodeArtifactUserDeletedException":                          {409, "message", false},
	"CodeArtifactUserFailedException":                           {409, "message", false},
	"CodeArtifactUserPendingException":                          {409, "message", false},
	"CodeSigningConfigNotFoundException":                        {404, "Message", false},
	"CodeStorageExceededException":                              {400, "message", false},
	"CodeVerificationFailedException":                           {400, "Message", false},
	"DurableExecutionAlreadyStartedException":                   {409, "Message", false},
	"EC2AccessDeniedException":                                  {502, "Message", false},
	"EC2ThrottledException":                                     {502, "Message", false},
	"EC2UnexpectedException":                                    {502, "Message", false},
	"EFSIOException":                                            {410, "Message", false},
	"EFSMountConnectivityException":                             {408, "Message", false},
	"EFSMountFailureException":                                  {403, "Message", false},
	"EFSMountTimeoutException":                                  {408, "Message", false},
	"ENILimitReachedException":                                  {502, "Message", false},
	"ENINotReadyException":                                      {502, "Message", false},
	"FunctionVersionsPerCapacityProviderLimitExceededException": {400, "message", false},
	"InvalidCodeSignatureException":                             {400, "Message", false},
	"InvalidParameterValueException":                            {400, "message", false},
	"InvalidRequestContentException":                            {400, "message", false},
	"InvalidRuntimeException":                                   {502, "Message", false},
	"InvalidSecurityGroupIDException":                           {502, "Message", false},
	"InvalidSubnetIDException":                                  {502, "Message", false},
	"InvalidZipFileException":                                   {502, "Message", false},
	"KMSAccessDeniedException":                                  {502, "Message", false},
	"KMSDisabledException":                                      {502, "Message", false},
	"KMSInvalidStateException":                                  {502, "Message", false},
	"KMSNotFoundException":                                      {502, "Message", false},
	"ModeNotSupportedException":                                 {400, "message", false},
	"NoPublishedVersionException":                               {400, "Message", false},
	"PolicyLengthExceededException":                             {400, "message", false},
	"PreconditionFailedException":                               {412, "message", false},
	"ProvisionedConcurrencyConfigNotFoundException":             {404, "message", false},
	"PublicPolicyException":                                     {400, "Message", false},
	"RecursiveInvocationException":                              {400, "Message", false},
	"RequestTooLargeException":                                  {413, "message", false},
	"ResourceConflictException":                                 {409, "message", false},
	"ResourceInUseException":                                    {400, "Message", false},
	"ResourceNotFoundException":                                 {404, "Message", false},
	"ResourceNotReadyException":                                 {502, "message", false},
	"S3FilesMountConnectivityException":                         {408, "Message", false},
	"S3FilesMountFailureException":                              {403, "Message", false},
	"S3FilesMountTimeoutException":                              {408, "Message", false},
	"SerializedRequestEntityTooLargeException":                  {413, "message", false},
	"ServiceException":                                          {500, "Message", false},
	"ServiceQuotaExceededException":                             {402, "Message", false},
	"SnapStartException":                                        {400, "Message", false},
	"SnapStartNotReadyException":                                {409, "Message", false},
	"SnapStartRegenerationFailureException":                     {409, "Message", false},
	"SnapStartTimeoutException":                                 {408, "Message", false},
	"SubnetIPAddressLimitReachedException":                      {502, "Message", false},
	"TooManyRequestsException":                                  {429, "message", false},
	"UnsupportedMediaTypeException":                             {415, "message", false},
}

// WriteError answers with an error: its status, its code in x-amzn-ErrorType
// and a body in the casing AWS gives that code. A code that is not in the table
// is the platform's own mistake and leaves as a bare ServiceException.
func WriteError(w http.ResponseWriter, err *lambda.Error) {
	a, ok := answers[err.Code]
	if !ok {
		err = &lambda.Error{Code: lambda.Service, Message: "An internal error occurred."}
		a = answers[err.Code]
	}
	// Members in the order of the alphabet, as AWS has them.
	body := []byte{'{'}
	member := func(name, value string) {
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = append(appendString(body, name), ':')
		if value == "" && err.Code == lambda.AccessDenied {
			// Who may not know whether there is anything is told nothing.
			body = append(body, "null"...)
			return
		}
		body = appendString(body, value)
	}
	if a.message == "Message" {
		member("Message", err.Message)
	}
	if err.Reason != "" {
		member("Reason", err.Reason)
	}
	if !a.bare && !err.Bare {
		kind := "User"
		if a.status >= 500 {
			kind = "Service"
		}
		member("Type", kind)
	}
	if a.message == "message" {
		member("message", err.Message)
	}
	body = append(body, '}')

	h := w.Header()
	h.Set("X-Amzn-Errortype", string(err.Code))
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if err.After > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(err.After.Seconds()))))
	}
	w.WriteHeader(a.status)
	// An error of Write means that the caller is gone; there is no one to tell.
	_, _ = w.Write(body)
}
