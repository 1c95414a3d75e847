import { render } from 'preact';
import { App } from './app';
import './styles/base.css';
import './styles/frame.css';
import './styles/figures.css';
import './styles/charts.css';
import './styles/list.css';
import './styles/waterfall.css';
import './styles/forms.css';
import './styles/phone.css';
import './styles/buckets.css';
import './styles/views.css';

const page = document.getElementById('page');
if (page) render(<App />, page);
