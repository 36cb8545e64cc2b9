// `npm run demo`: installs and builds what is missing, then runs the main job on a platform of its own.

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt, root } from './ensure-install.mjs';

ensureBuilt();
await import(pathToFileURL(path.join(root, 'dist', 'demo', 'main.js')).href);
