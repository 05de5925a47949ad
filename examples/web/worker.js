/** Trains away from the page, which stays alive meanwhile. */

import * as Comlink from './node_modules/comlink/dist/esm/comlink.min.mjs';
import { Studio } from './studio.js';

Comlink.expose(new Studio());
