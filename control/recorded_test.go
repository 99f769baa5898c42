package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// What AWS answered, Lambent answers: every recording is asked for again, in the order in which it was made.
func TestAnswersAreAsRecorded(t *testing.T) {
	all := recordings(t)
	for name := range all {
		if scripts[name] == nil {
			t.Errorf("nothing asks for %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(scripts)) {
		t.Run(name, func(t *testing.T) {
			if _, ok := all[name]; !ok {
				t.Fatal("there is no such recording")
			}
			r := &replay{T: t, Control: newControl(t), recording: all[name], used: map[string]bool{},
				bound: map[string]string{"<partition>": "aws", "<region>": home.Region}}
			scripts[name](t.Context(), r)
			for answer := range r.Answers {
				if !r.used[answer] {
					t.Errorf("%s is not compared", answer)
				}
			}
		})
	}
}

// The requests were not recorded: they follow from the answers and their names.
var scripts = func() map[string]func(ctx context.Context, r *replay) {
	s := map[string]func(ctx context.Context, r *replay){
		"TestLambdaBaseFeatures::test_function_state": func(ctx context.Context, r *replay) {
			r.is("create-fn-response")(r.CreateFunction(ctx, home, creation("fn", handled)))
			r.settle("fn")
			r.is("get-fn-response")(r.GetFunction(ctx, home, get("fn", "")))
		},
		"TestLambdaFunction::test_function_lifecycle": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home, creation("fn", handled, withEnv(nil), larger)))
			r.settle("fn")
			r.is("get_function_response")(r.GetFunction(ctx, home, get("fn", "")))
			r.is("update_func_conf_response")(r.UpdateFunctionConfiguration(ctx, home, &awslambda.UpdateFunctionConfigurationInput{
				FunctionName: ptr("fn"), Runtime: "python3.11", Description: ptr("Changed-Description"), MemorySize: ptr[int32](512),
				Timeout: ptr[int32](10), Environment: &types.Environment{Variables: map[string]string{"ENV_A": "a"}},
			}))
			r.settle("fn")
			r.is("get_function_response_postupdate")(r.GetFunction(ctx, home, get("fn", "")))
			r.is("update_code_response")(r.UpdateFunctionCode(ctx, home, upload("fn", "two")))
			r.settle("fn")
			r.is("get_function_response_postcodeupdate")(r.GetFunction(ctx, home, get("fn", "")))
			if _, err := r.DeleteFunction(ctx, home, &awslambda.DeleteFunctionInput{FunctionName: ptr("fn")}); err != nil {
				r.Error(err)
			}
			r.is("delete_postdelete")(r.DeleteFunction(ctx, home, &awslambda.DeleteFunctionInput{FunctionName: ptr("fn")}))
		},
		"TestLambdaFunction::test_function_arns": func(ctx context.Context, r *replay) {
			r.is("create-function-arn-response")(r.CreateFunction(ctx, home, creation(arn+"fn1", handled, withEnv(nil), slow)))
			r.is("create-function-partial-arn-response")(r.CreateFunction(ctx, home,
				creation("111111111111:function:fn2", handled, withEnv(nil), slow, withCode("two"))))
			r.is("function_arn_other_region_exc")(r.CreateFunction(ctx, home,
				creation("arn:aws:lambda:ap-southeast-1:111111111111:function:fn")))
			r.is("function_arn_other_account_exc")(r.CreateFunction(ctx, home,
				creation("arn:aws:lambda:us-east-1:222222222222:function:fn")))
		},
		"TestLambdaFunction::test_list_functions": func(ctx context.Context, r *replay) {
			r.is("create_response_1")(r.CreateFunction(ctx, home, creation("fn1", handled, withEnv(nil), slow, published)))
			r.is("create_response_2")(r.CreateFunction(ctx, home, creation("fn2", handled, withEnv(nil), slow, withCode("two"))))
			r.settle("fn1")
			r.settle("fn2")
			r.is("list_all")(r.ListFunctions(ctx, home, &awslambda.ListFunctionsInput{FunctionVersion: types.FunctionVersionAll}))
			r.is("list_default")(r.ListFunctions(ctx, home, &awslambda.ListFunctionsInput{}))
		},
		"TestLambdaFunction::test_redundant_updates": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home,
				creation("fn", handled, withEnv(nil), slow, described("Initial description"))))
			r.settle("fn")
			r.is("first_update_result")(r.UpdateFunctionConfiguration(ctx, home, redescribe("fn", "1st update description")))
			r.settle("fn")
			r.is("get_fn_config_result")(r.GetFunctionConfiguration(ctx, home,
				&awslambda.GetFunctionConfigurationInput{FunctionName: ptr("fn")}))
			r.is("get_fn_result")(r.GetFunction(ctx, home, get("fn", "")))
			r.is("redundant_update_result")(r.UpdateFunctionConfiguration(ctx, home, redescribe("fn", "1st update description")))
			r.settle("fn")
			r.is("get_fn_result_after_redundant_update")(r.GetFunction(ctx, home, get("fn", "")))
		},
		"TestLambdaFunction::test_lambda_concurrent_code_updates": func(ctx context.Context, r *replay) {
			r.is("create-function-response")(r.CreateFunction(ctx, home, creation("fn", handled)))
			r.settle("fn")
			if _, err := r.UpdateFunctionCode(ctx, home, upload("fn", "two")); err != nil {
				r.Error(err)
			}
			r.is("update-during-in-progress-update-exc")(r.UpdateFunctionCode(ctx, home, upload("fn", "three")))
		},
		"TestLambdaFunction::test_lambda_code_location_zipfile": func(ctx context.Context, r *replay) {
			r.is("create-response-zip-file")(r.CreateFunction(ctx, home, creation("fn")))
			r.settle("fn")
			r.is("get-function-response")(r.GetFunction(ctx, home, get("fn", "")))
			r.is("update-function-response")(r.UpdateFunctionCode(ctx, home, upload("fn", "two")))
			r.is("get-function-response-updated")(r.GetFunction(ctx, home, get("fn", "")))
		},
		"TestLambdaFunction::test_lambda_code_location_s3_errors": func(ctx context.Context, r *replay) {
			bucket := withS3(r, r.Control)
			r.is("create-error-wrong-bucket")(r.CreateFunction(ctx, home, creation("fn", fromS3("none", "code.zip", ""))))
			r.is("create-error-wrong-key")(r.CreateFunction(ctx, home, creation("fn", fromS3(bucket.name, "none", ""))))
			bucket.put(r, "code.zip", pack("one"))
			create(r, r.Control, "fn", fromS3(bucket.name, "code.zip", ""))
			update := func(bucket, key string) *awslambda.UpdateFunctionCodeInput {
				return &awslambda.UpdateFunctionCodeInput{FunctionName: ptr("fn"), S3Bucket: &bucket, S3Key: &key}
			}
			r.is("update-error-wrong-bucket")(r.UpdateFunctionCode(ctx, home, update("none", "code.zip")))
			r.is("update-error-wrong-key")(r.UpdateFunctionCode(ctx, home, update(bucket.name, "none")))
		},
		"TestLambdaFunction::test_create_lambda_exceptions": func(ctx context.Context, r *replay) {
			r.is("invalid_zip_exc")(r.CreateFunction(ctx, home, creation("fn", func(in *awslambda.CreateFunctionInput) {
				in.Code.ZipFile = []byte("this is not a zipfile, just a random string")
			})))
		},
		"TestLambdaFunction::test_ops_on_nonexisting_version[get_function]": func(ctx context.Context, r *replay) {
			create(r, r.Control, "fn")
			r.is("version_not_found_exception")(r.GetFunction(ctx, home, get("fn", "1221")))
		},
		"TestLambdaFunction::test_ops_on_nonexisting_version[get_function_configuration]": func(ctx context.Context, r *replay) {
			create(r, r.Control, "fn")
			r.is("version_not_found_exception")(r.GetFunctionConfiguration(ctx, home,
				&awslambda.GetFunctionConfigurationInput{FunctionName: ptr("fn"), Qualifier: ptr("1221")}))
		},
		// These three name a function that does not exist.
		"TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[delete_function]": func(ctx context.Context, r *replay) {
			r.is("not_match_exception")(r.DeleteFunction(ctx, home,
				&awslambda.DeleteFunctionInput{FunctionName: ptr(arn + "some-function:$LATEST"), Qualifier: ptr("1")}))
			r.is("match_exception")(r.DeleteFunction(ctx, home,
				&awslambda.DeleteFunctionInput{FunctionName: ptr(arn + "some-function:$LATEST"), Qualifier: ptr("$LATEST")}))
		},
		"TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[get_function]": func(ctx context.Context, r *replay) {
			r.is("not_match_exception")(r.GetFunction(ctx, home, get(arn+"some-function:$LATEST", "1")))
			r.is("match_exception")(r.GetFunction(ctx, home, get(arn+"some-function:$LATEST", "$LATEST")))
		},
		"TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[get_function_configuration]": func(ctx context.Context, r *replay) {
			r.is("not_match_exception")(r.GetFunctionConfiguration(ctx, home,
				&awslambda.GetFunctionConfigurationInput{FunctionName: ptr(arn + "some-function:$LATEST"), Qualifier: ptr("1")}))
			r.is("match_exception")(r.GetFunctionConfiguration(ctx, home,
				&awslambda.GetFunctionConfigurationInput{FunctionName: ptr(arn + "some-function:$LATEST"), Qualifier: ptr("$LATEST")}))
		},
		"TestLambdaBehavior::test_mixed_architecture": func(ctx context.Context, r *replay) {
			r.is("create_function_response")(r.CreateFunction(ctx, home, creation("fn", handled, withEnv(nil), slow)))
			r.settle("fn")
			in := upload("fn", "one")
			in.Architectures = []types.Architecture{types.ArchitectureArm64}
			r.is("update_function_code_response")(r.UpdateFunctionCode(ctx, home, in))
		},
		"TestLambdaVersions::test_publish_version_on_create": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home, creation("fn", published)))
			r.settle("fn")
			r.is("get_function_result")(r.GetFunction(ctx, home, get("fn", "")))
			r.is("get_function_version_result")(r.GetFunction(ctx, home, get("fn", "1")))
			r.is("get_function_latest_result")(r.GetFunction(ctx, home, get("fn", "$LATEST")))
			r.is("list_versions_result")(r.ListVersionsByFunction(ctx, home, versionsOf("fn")))
			r.is("repeated_publish_response")(r.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("fn")}))
			r.is("list_versions_result_after_publish")(r.ListVersionsByFunction(ctx, home, versionsOf("fn")))
		},
		"TestLambdaVersions::test_publish_with_wrong_sha256": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home, creation("fn")))
			r.settle("fn")
			r.is("get_fn_response")(r.GetFunction(ctx, home, get("fn", "")))
			r.is("publish_wrong_sha256_exc")(r.PublishVersion(ctx, home,
				&awslambda.PublishVersionInput{FunctionName: ptr("fn"), CodeSha256: ptr("somenonexistentsha256")}))
			right := codeSHA(latest(r, r.Control, "fn").Code.Digest)
			r.is("publish_result")(r.PublishVersion(ctx, home,
				&awslambda.PublishVersionInput{FunctionName: ptr("fn"), CodeSha256: &right}))
		},
		"TestLambdaVersions::test_version_lifecycle": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home, creation("fn", described("No version :("))))
			r.settle("fn")
			r.is("get_function_result")(r.GetFunction(ctx, home, get("fn", "")))
			r.is("list_versions_result")(r.ListVersionsByFunction(ctx, home, versionsOf("fn")))
			r.is("first_update_response")(r.UpdateFunctionConfiguration(ctx, home, redescribe("fn", "First version :)")))
			r.settle("fn")
			r.is("first_update_get_function")(r.GetFunction(ctx, home, get("fn", "")))
			r.is("first_publish_response")(r.PublishVersion(ctx, home,
				&awslambda.PublishVersionInput{FunctionName: ptr("fn"), Description: ptr("First version description :)")}))
			r.is("first_publish_get_function")(r.GetFunction(ctx, home, get("fn", "1")))
			r.is("first_publish_get_function_config")(r.GetFunctionConfiguration(ctx, home,
				&awslambda.GetFunctionConfigurationInput{FunctionName: ptr("fn"), Qualifier: ptr("1")}))
			r.is("second_update_response")(r.UpdateFunctionConfiguration(ctx, home, redescribe("fn", "Second version :))")))
			r.settle("fn")
			r.is("first_publish_get_function_after_update")(r.GetFunction(ctx, home, get("fn", "1")))
			r.is("second_publish_response")(r.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("fn")}))
			r.is("third_publish_response")(r.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("fn")}))
			r.is("list_versions_result_after_third_publish")(r.ListVersionsByFunction(ctx, home, versionsOf("fn")))
			if _, err := r.DeleteFunction(ctx, home,
				&awslambda.DeleteFunctionInput{FunctionName: ptr("fn"), Qualifier: ptr("1")}); err != nil {
				r.Error(err)
			}
			r.is("list_versions_result_after_deletion_of_first_version")(r.ListVersionsByFunction(ctx, home, versionsOf("fn")))
		},
		"TestLambdaVersions::test_lambda_versions_with_code_changes": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home, creation("fn", handled, described("No version :("))))
			r.settle("fn")
			r.is("first_publish_response")(r.PublishVersion(ctx, home,
				&awslambda.PublishVersionInput{FunctionName: ptr("fn"), Description: ptr("First version description :)")}))
			r.is("update_lambda_response")(r.UpdateFunctionCode(ctx, home, upload("fn", "two")))
			r.settle("fn")
			r.is("second_publish_response")(r.PublishVersion(ctx, home,
				&awslambda.PublishVersionInput{FunctionName: ptr("fn"), Description: ptr("Second version description :)")}))
			in := upload("fn", "three")
			in.Publish = true
			r.is("update_lambda_response_with_publish")(r.UpdateFunctionCode(ctx, home, in))
		},
		"TestLambdaAliases::test_lambda_alias_moving": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home, creation("fn", handled, described("No version :("))))
			r.settle("fn")
			if got := publish(r, r.Control, "fn"); got != "1" {
				r.Errorf("published version %s, want 1", got)
			}
			r.is("create_alias_response")(r.CreateAlias(ctx, home, aliasTo("fn", "alias1", "1", nil)))
			r.is("update_lambda_response")(r.UpdateFunctionCode(ctx, home, upload("fn", "two")))
			r.settle("fn")
			r.is("second_publish_response")(r.PublishVersion(ctx, home,
				&awslambda.PublishVersionInput{FunctionName: ptr("fn"), Description: ptr("Second version description :)")}))
			r.is("update_alias_response")(r.UpdateAlias(ctx, home,
				&awslambda.UpdateAliasInput{FunctionName: ptr("fn"), Name: ptr("alias1"), FunctionVersion: ptr("2")}))
		},
		"TestLambdaAlias::test_alias_lifecycle": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home, creation("fn", withEnv(map[string]string{"testenv": "staging"}))))
			r.settle("fn")
			r.is("publish_v1")(r.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("fn")}))
			restage(ctx, r)
			r.is("publish_v2")(r.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("fn")}))

			custom := ptr("custom-alias")
			in := aliasTo("fn", "aliasname1_1", "1", map[string]float64{"2": 0.2})
			in.Description = custom
			r.is("create_alias_1_1")(r.CreateAlias(ctx, home, in))
			r.is("get_alias_1_1")(r.GetAlias(ctx, home, aliasOf("fn", "aliasname1_1")))
			r.is("get_function_alias_1_1")(r.GetFunction(ctx, home, get("fn", "aliasname1_1")))
			r.is("get_function_byarn_alias_1_1")(r.GetFunction(ctx, home, get(arn+"fn:aliasname1_1", "")))
			r.is("get_function_alias_notfound_exc")(r.GetFunction(ctx, home, get("fn", "aliasdoesnotexist")))
			r.is("get_function_alias_byarn_notfound_exc")(r.GetFunction(ctx, home, get(arn+"fn:aliasdoesnotexist", "")))
			in = aliasTo("fn", "aliasname1_2", "1", nil)
			in.Description = custom
			r.is("create_alias_1_2")(r.CreateAlias(ctx, home, in))
			r.is("get_alias_1_2")(r.GetAlias(ctx, home, aliasOf("fn", "aliasname1_2")))
			r.is("create_alias_1_3")(r.CreateAlias(ctx, home, aliasTo("fn", "aliasname1_3", "1", nil)))
			r.is("get_alias_1_3")(r.GetAlias(ctx, home, aliasOf("fn", "aliasname1_3")))
			in = aliasTo("fn", "aliasname2", "2", nil)
			in.Description = custom
			r.is("create_alias_2")(r.CreateAlias(ctx, home, in))
			r.is("get_alias_2")(r.GetAlias(ctx, home, aliasOf("fn", "aliasname2")))

			all := &awslambda.ListAliasesInput{FunctionName: ptr("fn")}
			r.is("list_aliases_for_fnname")(r.ListAliases(ctx, home, all))
			r.is("update_alias_1_1")(r.UpdateAlias(ctx, home, &awslambda.UpdateAliasInput{FunctionName: ptr("fn"),
				Name: ptr("aliasname1_1"), RoutingConfig: &types.AliasRoutingConfiguration{}}))
			r.is("get_alias_1_1_after_update")(r.GetAlias(ctx, home, aliasOf("fn", "aliasname1_1")))
			r.is("list_aliases_for_fnname_after_update")(r.ListAliases(ctx, home, all))
			r.is("update_alias_1_2")(r.UpdateAlias(ctx, home, &awslambda.UpdateAliasInput{FunctionName: ptr("fn"),
				Name: ptr("aliasname1_2"), Description: custom}))
			r.is("get_alias_1_2_after_update")(r.GetAlias(ctx, home, aliasOf("fn", "aliasname1_2")))
			r.is("list_aliases_for_fnname_after_update_2")(r.ListAliases(ctx, home, all))
			r.is("list_aliases_for_version")(r.ListAliases(ctx, home,
				&awslambda.ListAliasesInput{FunctionName: ptr("fn"), FunctionVersion: ptr("1")}))
			r.is("delete_alias_response")(r.DeleteAlias(ctx, home,
				&awslambda.DeleteAliasInput{FunctionName: ptr("fn"), Name: ptr("aliasname1_1")}))
			r.is("list_aliases_for_fnname_afterdelete")(r.ListAliases(ctx, home, all))
		},
		"TestLambdaAlias::test_non_existent_alias_deletion": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home, creation("fn", withEnv(map[string]string{"testenv": "staging"}))))
			r.is("delete_alias_response")(r.DeleteAlias(ctx, home,
				&awslambda.DeleteAliasInput{FunctionName: ptr("fn"), Name: ptr("non-existent")}))
		},
		"TestLambdaAlias::test_notfound_and_invalid_routingconfigs": func(ctx context.Context, r *replay) {
			r.is("create_response")(r.CreateFunction(ctx, home,
				creation("fn", withEnv(map[string]string{"testenv": "staging"}), published)))
			r.settle("fn")
			r.is("publish_v1")(r.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("fn")}))
			restage(ctx, r)
			r.is("publish_v2")(r.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("fn")}))

			for _, c := range []struct {
				answer, fn, version string
				weights             map[string]float64
			}{
				{"routing_config_exc_toomany", "fn", "1", map[string]float64{"1": 0.5, "2": 0.5}},
				{"routing_config_exc_sameversion", "fn", "1", map[string]float64{"1": 0.5}},
				{"routing_config_exc_version_doesnotexist", "fn", "1", map[string]float64{"10": 0.5}},
				{"target_version_doesnotexist", "fn", "10", map[string]float64{"2": 0.5}},
				{"target_version_exc_version_latest", "fn", "$LATEST", map[string]float64{"1": 0.5}},
				{"routing_config_exc_fn_doesnotexist", "fn-unknown", "1", map[string]float64{"2": 0.5}},
			} {
				r.is(c.answer)(r.CreateAlias(ctx, home, aliasTo(c.fn, "custom", c.version, c.weights)))
			}
			r.is("create-alias-latest")(r.CreateAlias(ctx, home, aliasTo("fn", "custom-latest", "$LATEST", nil)))
			in := aliasTo("fn", "custom-empty-routingconfig", "1", nil)
			in.RoutingConfig = &types.AliasRoutingConfiguration{}
			r.is("create_alias_empty_routingconfig")(r.CreateAlias(ctx, home, in))
			in = aliasTo("fn", "custom", "1", map[string]float64{"2": 0.5})
			r.is("create_alias_response")(r.CreateAlias(ctx, home, in))
			r.is("routing_config_exc_already_exist")(r.CreateAlias(ctx, home, in))
			r.is("alias_does_not_exist_esc")(r.GetAlias(ctx, home, aliasOf("fn", "non-existent")))
		},
		"TestLambdaRevisions::test_function_revisions_basic": func(ctx context.Context, r *replay) {
			r.is("create_function_response_rev1")(r.CreateFunction(ctx, home, creation("fn", withEnv(nil), slow)))
			rev1 := latest(r, r.Control, "fn").RevisionID
			r.settle("fn")
			r.is("get_function_response_rev2")(r.GetFunction(ctx, home, get("fn", "")))
			code := upload("fn", "one")
			code.RevisionId = &rev1
			r.is("update_function_revision_exception")(r.UpdateFunctionCode(ctx, home, code))
			code.RevisionId = ptr(latest(r, r.Control, "fn").RevisionID)
			r.is("update_function_code_response_rev3")(r.UpdateFunctionCode(ctx, home, code))
			rev3 := latest(r, r.Control, "fn").RevisionID
			r.settle("fn")
			r.is("get_function_response_rev4")(r.GetFunction(ctx, home, get("fn", "")))
			config := &awslambda.UpdateFunctionConfigurationInput{FunctionName: ptr("fn"), Runtime: "python3.8", RevisionId: &rev3}
			r.is("update_function_configuration_revision_exception")(r.UpdateFunctionConfiguration(ctx, home, config))
			config.RevisionId = ptr(latest(r, r.Control, "fn").RevisionID)
			r.is("update_function_configuration_response_rev5")(r.UpdateFunctionConfiguration(ctx, home, config))
			r.settle("fn")
			r.is("get_function_response_rev6")(r.GetFunction(ctx, home, get("fn", "")))
		},
		"TestLambdaTag::test_create_tag_on_fn_create": func(ctx context.Context, r *replay) {
			create(r, r.Control, "fn", handled, withEnv(nil), slow, tagged(map[string]string{"testtag": "custom"}))
			r.is("list_tags_result")(r.ListTags(ctx, home, tagsOf(arn+"fn")))
			r.is("get_function_result")(r.GetFunction(ctx, home, get("fn", "")))
		},
		"TestLambdaTag::test_tag_nonexisting_resource": func(ctx context.Context, r *replay) {
			create(r, r.Control, "fn", handled, withEnv(nil), slow)
			r.is("pre_delete_get_function")(r.GetFunction(ctx, home, get("fn", "")))
			if _, err := r.DeleteFunction(ctx, home, &awslambda.DeleteFunctionInput{FunctionName: ptr("fn")}); err != nil {
				r.Error(err)
			}
			untaggable(ctx, r, arn+"fn")
		},
		"TestLambdaTag::test_tag_exceptions[lambda_function]": func(ctx context.Context, r *replay) {
			untaggable(ctx, r, arn+"fn")
			r.is("aliased_arn_exception")(r.TagResource(ctx, home, tag(arn+"fn:alias", "A", "1")))
		},
		"TestLambdaTag::test_tag_exceptions[event_source_mapping]": func(ctx context.Context, r *replay) {
			untaggable(ctx, r, "arn:aws:lambda:us-east-1:111111111111:event-source-mapping:8f5ac0e5-4f3c-4f5e-9d3b-3a0b7f1f1d11")
		},
		"TestLambdaTag::test_tag_exceptions[capacity_provider]": func(ctx context.Context, r *replay) {
			untaggable(ctx, r, "arn:aws:lambda:us-east-1:111111111111:capacity-provider:cp")
		},
		"TestLambdaTags::test_tag_exceptions": func(ctx context.Context, r *replay) {
			create(r, r.Control, "fn")
			r.is("tag_lambda_doesnotexist")(r.TagResource(ctx, home, tag(arn+"doesnotexist", "key_a", "value_a")))
			r.is("tag_lambda_qualifier_doesnotexist")(r.TagResource(ctx, home, tag(arn+"fn:alias", "key_a", "value_a")))
			r.is("tag_empty_tags")(r.TagResource(ctx, home, &awslambda.TagResourceInput{Resource: ptr(arn + "fn")}))
			r.is("list_tag_lambda_empty")(r.ListTags(ctx, home, tagsOf(arn+"fn")))
			r.is("untag_nomatch")(r.UntagResource(ctx, home,
				&awslambda.UntagResourceInput{Resource: ptr(arn + "fn"), TagKeys: []string{"somekey"}}))
		},
		"TestLambdaTags::test_tag_lifecycle": func(ctx context.Context, r *replay) {
			create(r, r.Control, "fn", handled, withEnv(nil), slow, tagged(map[string]string{"key_a": "value_a"}))
			both := func(when string) {
				r.is("list_tags_response_" + when)(r.ListTags(ctx, home, tagsOf(arn+"fn")))
				r.is("get_fn_response_" + when)(r.GetFunction(ctx, home, get("fn", "")))
			}
			both("postfncreate")
			r.is("tag_resource_response")(r.TagResource(ctx, home,
				tag(arn+"fn", "key_b", "value_b", "key_c", "value_c", "key_d", "value_d", "key_e", "value_e")))
			both("postaddtags")
			r.is("tag_resource_overwrite")(r.TagResource(ctx, home, tag(arn+"fn", "key_b", "value_b", "key_c", "value_x")))
			both("overwrite")
			untag := func(keys ...string) {
				if _, err := r.UntagResource(ctx, home, &awslambda.UntagResourceInput{Resource: ptr(arn + "fn"), TagKeys: keys}); err != nil {
					r.Error(err)
				}
			}
			untag("key_c", "key_d")
			both("postuntag")
			untag("key_a", "key_b", "key_e")
			both("postuntagall")
			if _, err := r.DeleteFunction(ctx, home, &awslambda.DeleteFunctionInput{FunctionName: ptr("fn")}); err != nil {
				r.Error(err)
			}
			r.is("list_tags_postdelete")(r.ListTags(ctx, home, tagsOf(arn+"fn")))
		},
		"TestLambdaTags::test_tag_limits": func(ctx context.Context, r *replay) {
			many := func(n int) map[string]string {
				tags := map[string]string{}
				for i := range n {
					tags[fmt.Sprintf("%d_key", i)] = fmt.Sprintf("%d_value", i)
				}
				return tags
			}
			create(r, r.Control, "fn", handled, withEnv(nil), slow)
			r.is("tag_lambda_too_many_tags")(r.TagResource(ctx, home, &awslambda.TagResourceInput{Resource: ptr(arn + "fn"), Tags: many(51)}))
			r.is("tag_response")(r.TagResource(ctx, home, &awslambda.TagResourceInput{Resource: ptr(arn + "fn"), Tags: many(50)}))
			r.is("list_tags_response")(r.ListTags(ctx, home, tagsOf(arn+"fn")))
			r.is("get_fn_response")(r.GetFunction(ctx, home, get("fn", "")))
			r.is("tag_lambda_too_many_tags_additional")(r.TagResource(ctx, home, tag(arn+"fn", "a_key", "a_value")))
			r.is("create_function_invalid_tags")(r.CreateFunction(ctx, home, creation("fn2", tagged(many(51)))))
		},
		"TestLambdaLayer::test_layer_function_exceptions": func(ctx context.Context, r *replay) {
			create(r, r.Control, "fn")
			r.is("add_nonexistent_layer_exc")(r.UpdateFunctionConfiguration(ctx, home, &awslambda.UpdateFunctionConfigurationInput{
				FunctionName: ptr("fn"), Layers: []string{"arn:aws:lambda:us-east-1:111111111111:layer:doesnotexist:1"}}))
			r.is("create_function_with_layer_in_different_region")(r.CreateFunction(ctx, home,
				creation("fn2", func(in *awslambda.CreateFunctionInput) {
					in.Layers = []string{"arn:aws:lambda:us-west-2:111111111111:layer:one:1"}
				})))
		},
		"TestLoggingConfig::test_advanced_logging_configuration_format_switch": func(ctx context.Context, r *replay) {
			logs(ctx, r)
			reformat := func(format types.LogFormat, updated, received string) {
				r.is(updated)(r.UpdateFunctionConfiguration(ctx, home, &awslambda.UpdateFunctionConfigurationInput{
					FunctionName: ptr("fn"), LoggingConfig: &types.LoggingConfig{LogFormat: format}}))
				r.settle("fn")
				r.is(received)(r.GetFunctionConfiguration(ctx, home, &awslambda.GetFunctionConfigurationInput{FunctionName: ptr("fn")}))
			}
			reformat(types.LogFormatJson, "updated_config", "received_config")
			reformat(types.LogFormatText, "updated_config_v2", "received_config_v2")
		},
	}
	for i, given := range []types.LoggingConfig{
		{LogFormat: types.LogFormatJson},
		{LogFormat: types.LogFormatJson, ApplicationLogLevel: types.ApplicationLogLevelDebug},
		{LogFormat: types.LogFormatJson, SystemLogLevel: types.SystemLogLevelDebug},
		{LogGroup: ptr("cool_lambda")},
	} {
		name := fmt.Sprintf("TestLoggingConfig::test_function_partial_advanced_logging_configuration_update[partial_config%d]", i)
		s[name] = func(ctx context.Context, r *replay) {
			logs(ctx, r)
			r.is("updated_config")(r.UpdateFunctionConfiguration(ctx, home,
				&awslambda.UpdateFunctionConfigurationInput{FunctionName: ptr("fn"), LoggingConfig: &given}))
			r.settle("fn")
			r.is("received_config")(r.GetFunctionConfiguration(ctx, home, &awslambda.GetFunctionConfigurationInput{FunctionName: ptr("fn")}))
		}
	}
	for _, runtime := range strings.Fields("dotnetcore3.1 go1.x java8 nodejs12.x nodejs14.x provided python3.7 ruby2.7") {
		name := "TestRuntimeValidation::test_create_deprecated_function_runtime_with_validation_enabled[" + runtime + "]"
		s[name] = func(ctx context.Context, r *replay) {
			r.is("deprecation_error")(r.CreateFunction(ctx, home, creation("fn", func(in *awslambda.CreateFunctionInput) {
				in.Runtime = types.Runtime(runtime)
			})))
		}
	}
	return s
}()

// logs makes the function of the recordings on logging.
func logs(ctx context.Context, r *replay) {
	r.is("create_response")(r.CreateFunction(ctx, home, creation("fn", handled, withEnv(nil), larger)))
	r.settle("fn")
	r.is("get_function_response")(r.GetFunction(ctx, home, get("fn", "")))
	r.is("function_config")(r.GetFunctionConfiguration(ctx, home, &awslambda.GetFunctionConfigurationInput{FunctionName: ptr("fn")}))
}

// restage changes a variable, as the recordings on aliases do between two versions.
func restage(ctx context.Context, r *replay) {
	_, err := r.UpdateFunctionConfiguration(ctx, home, &awslambda.UpdateFunctionConfigurationInput{
		FunctionName: ptr("fn"), Environment: &types.Environment{Variables: map[string]string{"testenv": "prod"}}})
	if err != nil {
		r.Error(err)
	}
	r.settle("fn")
}

// untaggable asks for the tags of what does not exist.
func untaggable(ctx context.Context, r *replay, resource string) {
	r.is("not_found_exception_tag")(r.TagResource(ctx, home, tag(resource, "A", "1")))
	r.is("not_found_exception_untag")(r.UntagResource(ctx, home,
		&awslambda.UntagResourceInput{Resource: &resource, TagKeys: []string{"A"}}))
	r.is("not_found_exception_list")(r.ListTags(ctx, home, tagsOf(resource)))
}

func handled(in *awslambda.CreateFunctionInput)   { in.Handler = ptr("handler.handler") }
func slow(in *awslambda.CreateFunctionInput)      { in.Timeout = ptr[int32](30) }
func published(in *awslambda.CreateFunctionInput) { in.Publish = true }

func larger(in *awslambda.CreateFunctionInput) {
	in.MemorySize, in.Timeout = ptr[int32](256), ptr[int32](5)
}

func described(as string) func(*awslambda.CreateFunctionInput) {
	return func(in *awslambda.CreateFunctionInput) { in.Description = &as }
}

func withCode(content string) func(*awslambda.CreateFunctionInput) {
	return func(in *awslambda.CreateFunctionInput) { in.Code.ZipFile = pack(content) }
}

func fromS3(bucket, key, version string) func(*awslambda.CreateFunctionInput) {
	return func(in *awslambda.CreateFunctionInput) {
		in.Code = &types.FunctionCode{S3Bucket: &bucket, S3Key: &key}
		if version != "" {
			in.Code.S3ObjectVersion = &version
		}
	}
}

// withEnv gives variables; nil gives a map without any.
func withEnv(vars map[string]string) func(*awslambda.CreateFunctionInput) {
	if vars == nil {
		vars = map[string]string{}
	}
	return func(in *awslambda.CreateFunctionInput) { in.Environment = &types.Environment{Variables: vars} }
}

func tagged(tags map[string]string) func(*awslambda.CreateFunctionInput) {
	return func(in *awslambda.CreateFunctionInput) { in.Tags = tags }
}

func get(name, qualifier string) *awslambda.GetFunctionInput {
	in := &awslambda.GetFunctionInput{FunctionName: &name}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	return in
}

func upload(name, content string) *awslambda.UpdateFunctionCodeInput {
	return &awslambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: pack(content)}
}

func redescribe(name, as string) *awslambda.UpdateFunctionConfigurationInput {
	return &awslambda.UpdateFunctionConfigurationInput{FunctionName: &name, Description: &as}
}

func versionsOf(name string) *awslambda.ListVersionsByFunctionInput {
	return &awslambda.ListVersionsByFunctionInput{FunctionName: &name}
}

func aliasOf(name, alias string) *awslambda.GetAliasInput {
	return &awslambda.GetAliasInput{FunctionName: &name, Name: &alias}
}

func aliasTo(name, alias, version string, weights map[string]float64) *awslambda.CreateAliasInput {
	in := &awslambda.CreateAliasInput{FunctionName: &name, Name: &alias, FunctionVersion: &version}
	if weights != nil {
		in.RoutingConfig = &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights}
	}
	return in
}

func tagsOf(resource string) *awslambda.ListTagsInput {
	return &awslambda.ListTagsInput{Resource: &resource}
}

func tag(resource string, keysAndValues ...string) *awslambda.TagResourceInput {
	in := &awslambda.TagResourceInput{Resource: &resource, Tags: map[string]string{}}
	for kv := range slices.Chunk(keysAndValues, 2) {
		in.Tags[kv[0]] = kv[1]
	}
	return in
}
