// Package browsertest looks at the page of package debug in a real browser. It is a module of its own,
// because what drives the browser is no dependency of the library.
//
//	make browser
//
// runs it, on a machine that has Chromium. The variable BROWSER names the program, if it is none of
// chromium, chromium-browser and google-chrome.
package browsertest
