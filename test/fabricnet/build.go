package fabricnet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// module names this repository's module, to find its root when the compiler recorded no paths.
const module = "module github.com/pyralis-io/pyralis\n"

// findSource returns the folder of this package: where it was compiled, or below the module that holds the working directory.
func findSource() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if dir := filepath.Dir(file); isFile(filepath.Join(dir, "tools", "go.mod")) {
			return dir, nil
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("fabricnet: working directory: %w", err)
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), module) {
			return filepath.Join(dir, "test", "fabricnet"), nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("fabricnet: sources not found: run inside a checkout or set SourceDir")
	}
}

// binaries are the folders with the programs that a network runs.
type binaries struct {
	tools     string // Fabric's own
	chaincode string // chaincode and probe
}

// path returns where a program is.
func (b binaries) path(name string) string {
	if name == "chaincode" || name == "probe" {
		return filepath.Join(b.chaincode, name)
	}
	return filepath.Join(b.tools, name)
}

// build compiles what was not compiled before from the very same sources.
func build(ctx context.Context, o Options) (b binaries, err error) {
	if b.tools, err = buildModule(ctx, o, "tools", "tool"); err != nil {
		return b, err
	}
	b.chaincode, err = buildModule(ctx, o, "chaincode", ".", "./probe")
	return b, err
}

// buildModule compiles targets of one of the modules beside this package, and returns the folder with the programs.
func buildModule(ctx context.Context, o Options, name string, targets ...string) (string, error) {
	source := filepath.Join(o.SourceDir, name)
	id, err := sourceHash(source)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(o.CacheDir, name+"-"+id)
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("fabricnet: cache: %w", err)
	}
	// Two programs that start at once build once.
	lock, err := waitLock(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("fabricnet: cache: %w", err)
	}
	defer lock.release()
	if isFile(filepath.Join(bin, "complete")) {
		return bin, nil
	}
	began := time.Now()
	o.Log("building %s (once per version; Fabric itself takes a minute or two)", name)
	if err := compile(ctx, source, bin, targets...); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(bin, "complete"), nil, 0o644); err != nil {
		return "", fmt.Errorf("fabricnet: cache: %w", err)
	}
	o.Log("%s built in %v", name, time.Since(began).Round(100*time.Millisecond))
	return bin, nil
}

func compile(ctx context.Context, dir, bin string, targets ...string) error {
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", bin + string(filepath.Separator)}, targets...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("fabricnet: go build in %s: %w\n%s", dir, err, lastLines(out, 20))
	}
	return nil
}

// sourceHash names a version of everything that goes into the programs of a module.
func sourceHash(source string) (string, error) {
	var files []string
	err := filepath.WalkDir(source, func(path string, d os.DirEntry, err error) error {
		name := filepath.Base(path)
		if err == nil && !d.IsDir() && (name == "go.mod" || name == "go.sum" || strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("fabricnet: sources: %w", err)
	}
	slices.Sort(files)
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, path := range files {
		rel, err := filepath.Rel(source, path)
		if err != nil {
			return "", fmt.Errorf("fabricnet: sources: %w", err)
		}
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("fabricnet: sources: %w", err)
		}
		fmt.Fprintln(h, filepath.ToSlash(rel))
		_, err = io.Copy(h, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("fabricnet: sources: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// lastLines returns the last n lines of a log.
func lastLines(b []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
