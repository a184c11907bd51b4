// A POSIX shell with the usual small commands and awk, for tests on Windows where no other shell is: `sh -c SCRIPT`, `sh FILE`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	awk "github.com/benhoyt/goawk/interp"
	"github.com/benhoyt/goawk/parser"
	"mvdan.cc/sh/moreinterp/coreutils"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

func main() {
	var status interp.ExitStatus
	if err := run(os.Args[1:]); errors.As(err, &status) {
		os.Exit(int(status))
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	name, script, rest := "sh", "", []string{}
	switch {
	case len(args) > 1 && args[0] == "-c":
		script, rest = args[1], args[2:]
		if len(rest) > 0 {
			name, rest = rest[0], rest[1:]
		}
	case len(args) > 0 && !strings.HasPrefix(args[0], "-"):
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		name, script, rest = args[0], string(text), args[1:]
	default:
		return errors.New("usage: sh -c SCRIPT [NAME [ARGUMENT…]] | sh FILE [ARGUMENT…]")
	}
	program, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), name)
	if err != nil {
		return err
	}
	runner, err := interp.New(
		interp.Params(append([]string{"--"}, rest...)...),
		interp.StdIO(os.Stdin, os.Stdout, os.Stderr),
		interp.ExecHandlers(otherCommands, coreutils.ExecHandler),
	)
	if err != nil {
		return err
	}
	return runner.Run(context.Background(), program)
}

// otherCommands runs `basename PATH` and `awk PROGRAM [FILE…]`.
func otherCommands(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		shell := interp.HandlerCtx(ctx)
		switch {
		case args[0] == "basename" && len(args) == 2:
			_, err := fmt.Fprintln(shell.Stdout, filepath.Base(args[1]))
			return err
		case args[0] != "awk" || len(args) < 2:
			return next(ctx, args)
		}
		program, err := parser.ParseProgram([]byte(args[1]), nil)
		if err != nil {
			return err
		}
		config := &awk.Config{Stdin: shell.Stdin, Output: shell.Stdout, Error: shell.Stderr, Argv0: "awk", Args: args[2:]}
		status, err := awk.ExecProgram(program, config)
		if err != nil {
			return err
		}
		if status != 0 {
			return interp.ExitStatus(status)
		}
		return nil
	}
}
