// Shows the document of the API. Nothing is asked of another server: no validator, no address of an example.
const dark = matchMedia('(prefers-color-scheme: dark)');
const scheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
scheme();
dark.addEventListener('change', scheme);
SwaggerUIBundle({
  url: '/api/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
});
