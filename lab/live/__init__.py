"""What a person sees in a notebook while an experiment runs, and can ask after it.

`lab.progress.follow` opens the view of a notebook by the entry point `notebook` of the group
`pipeline_lab.views`, where a person sits before it; so experiments know nothing of this package, which knows
them.

1. `panel` is that view: a listener of the events in `lab.experiment_events`. Its widget sends numbers, at
   most 1 kB four times a second, and the browser draws: a redraw by matplotlib would take the interpreter
   lock from servers in this process for 80 ms.
2. `outline` says what the browser draws before the first trial: axes, documented bands and limits by theory,
   and where the point of each cell belongs. It also says which chart of `lab.charts` takes the panel's place
   at the end, so that a saved notebook holds a picture and no widget.
3. `what_if` is a panel of sliders beside what was measured: theory at once, simulation a moment later.
4. `chart.js` draws in both panels, `panel.js` and `what_if.js` are their modules, `live.css` has the colours
   of both themes. They are plain ES modules: nothing is built, and nothing is loaded from elsewhere.

The widgets need anywidget, which comes with the extra `jupyter`; without it a notebook shows lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily

if TYPE_CHECKING:
    from lab.live.what_if import WhatIf, what_if

__all__ = ["WhatIf", "what_if"]

__getattr__, __dir__ = lazily(__name__, {"lab.live.what_if": ("WhatIf", "what_if")})
