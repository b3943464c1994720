# The two commands of the README, and nothing that CMake does better.
#
#   make demo   install what Debian has, build, run the demo sweep: a table, results.sqlite, three plots
#   make test   install what Debian has, build, run every test
#
# Both are safe to repeat. `make setup` alone installs the packages; it is skipped when all are there.

.PHONY: demo test setup build clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

setup:
	@tools/setup.sh

build: setup
	@cmake --preset release -DTOKSWEEP_WERROR=$(if $(CI),ON,OFF)
	@cmake --build --preset release

demo: build
	@tools/demo.sh build/release

test: build
	@tools/setup.sh browser || echo "setup: no browser; the test that opens the HTML report is skipped"
	@ctest --preset release

clean:
	rm -rf build
