package control

import (
	"context"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

// GetAccountSettings returns the account's limits and what it uses of them:
// how many functions it has, and the code of all their versions and of all
// versions of its layers, each counted by itself, as AWS counts it.
func (c *Control) GetAccountSettings(_ context.Context, at lambda.Scope, _ *awslambda.GetAccountSettingsInput) (*awslambda.GetAccountSettingsOutput, error) {
	usage := &types.AccountUsage{}
	reserved := 0
	for e := range c.Catalog.All {
		if e.Function.ID.Scope() != at {
			continue
		}
		usage.FunctionCount++
		for _, v := range e.Versions {
			usage.TotalCodeSize += v.Code.Size
		}
		if n := e.Function.Reserved; n != nil {
			reserved += *n
		}
	}
	for l := range c.Catalog.Layers.All {
		if l.ID.Scope() != at {
			continue
		}
		for _, v := range l.Versions {
			usage.TotalCodeSize += v.Code.Size
		}
	}
	return &awslambda.GetAccountSettingsOutput{
		AccountLimit: &types.AccountLimit{
			CodeSizeUnzipped:               lambda.MaxUnzippedSize,
			CodeSizeZipped:                 lambda.MaxZipSize,
			ConcurrentExecutions:           int32(c.Concurrency),
			TotalCodeSize:                  lambda.AccountCodeStorage,
			UnreservedConcurrentExecutions: ptr(int32(c.Concurrency - reserved)),
		},
		AccountUsage: usage,
	}, nil
}
