// Command provided is a custom runtime written against the Runtime API with the
// standard library alone. The event says how it is to behave.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"
	if how := os.Getenv("INIT"); how != "" {
		if how == "report" {
			post(api+"init/error", `{"errorMessage":"no database","errorType":"Function.NoDatabase","stackTrace":[]}`, "Function.NoDatabase")
			os.Exit(1)
		}
		behave(how)
	}
	for {
		resp, err := http.Get(api + "invocation/next")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(9)
		}
		event, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(9)
		}
		id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
		var order struct {
			Nonce string
			Do    string
		}
		if json.Unmarshal(event, &order) == nil && order.Do != "" {
			if order.Do == "raise" {
				post(api+"invocation/"+id+"/error", `{"errorMessage":"`+order.Nonce+`","errorType":"Function.Raised"}`, "Function.Raised")
				continue
			}
			behave(order.Do)
		}
		var how string
		if json.Unmarshal(event, &how) == nil {
			if how == "report" {
				post(api+"invocation/"+id+"/error", `{"errorMessage":"no luck","errorType":"Function.NoLuck"}`, "Function.NoLuck")
				continue
			}
			behave(how)
		}
		post(api+"invocation/"+id+"/response", string(event), "")
	}
}

func behave(how string) {
	switch how {
	case "exit 0":
		os.Exit(0)
	case "exit 3":
		os.Exit(3)
	case "hang":
		select {}
	case "memory":
		var all [][]byte
		for {
			all = append(all, bytes.Repeat([]byte{1}, 1<<20))
		}
	}
}

func post(url, body, errorType string) {
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	if errorType != "" {
		req.Header.Set("Lambda-Runtime-Function-Error-Type", errorType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}
